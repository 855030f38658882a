package image

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Where Python finds packages (site.py and getpath.py of CPython, Debian's site.py).

// maxVenvConfig bounds pyvenv.cfg, in bytes.
const maxVenvConfig = 16 << 10

var (
	errSeveralPythons = errors.New("several versions of Python lie there")
	libFolder         = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^python(3\.\d{1,2})$`) })
	venvVersion       = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?m)^[ \t]*version(?:_info)?[ \t]*=[ \t]*(3\.\d{1,2})\b`)
	})
	venvSystem = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?mi)^[ \t]*include-system-site-packages[ \t]*=[ \t]*true[ \t]*\r?$`)
	})
)

// searched are the folders that an interpreter finds packages in.
type searched struct {
	own  []string // the first one first in rank
	user string   // below the user's own base, looked into before; "" for none
}

// packageFolders finds them; an error says why they are not sure.
func packageFolders(files Files, p python) (searched, error) {
	prefix := path.Dir(path.Dir(p.path))
	config, err := venvConfig(files, path.Dir(p.path), prefix)
	if err != nil {
		return searched{}, err
	}
	if config != nil {
		if venvSystem().Match(config) {
			return searched{}, errors.New("a virtual environment that takes the system's packages too")
		}
		version, unsure := versionBelow(files, prefix, first(venvVersion(), config))
		return searched{own: both(prefix, version, "site-packages")}, unsure
	}
	file, err := files.Real(p.path)
	if err != nil {
		return searched{}, err
	}
	prefix = path.Dir(path.Dir(file))
	if config, err = venvConfig(files, path.Dir(file), prefix); err != nil || config != nil {
		return searched{}, errors.Join(err, errors.New("a link into a virtual environment"))
	}
	if m := pythonName().FindStringSubmatch(path.Base(file)); m != nil && m[1] != "" {
		p.version = m[1]
	}
	version, err := versionBelow(files, prefix, p.version)
	if err != nil {
		return searched{}, err
	}
	own := both(prefix, version, "site-packages")
	if prefix == "/usr" { // Debian keeps its own packages apart from those that pip installs
		own = slices.Concat(both("/usr/local", version, "dist-packages"), own, []string{"/usr/lib/python3/dist-packages"})
	}
	return searched{own, "lib/python" + version + "/site-packages"}, nil
}

func both(prefix, version, name string) []string {
	return []string{path.Join(prefix, "lib/python"+version, name), path.Join(prefix, "lib64/python"+version, name)}
}

// venvConfig is pyvenv.cfg beside an interpreter or one folder above; nil: there is none.
func venvConfig(files Files, folders ...string) ([]byte, error) {
	for _, folder := range folders {
		data, err := files.ReadFile(folder+"/pyvenv.cfg", maxVenvConfig)
		switch {
		case err == nil:
			return data, nil
		case !absent(err):
			return nil, err
		}
	}
	return nil, nil
}

// versionBelow is the version of the one Python below a prefix, unless it is known.
func versionBelow(files Files, prefix, version string) (string, error) {
	if version != "" {
		return version, nil
	}
	names, err := files.ReadDir(prefix+"/lib", maxFolder)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		m := libFolder().FindStringSubmatch(name)
		switch {
		case m == nil:
		case version != "":
			return "", errSeveralPythons
		default:
			version = m[1]
		}
	}
	if version == "" {
		return "", errors.New("no Python lies below " + prefix + "/lib")
	}
	return version, nil
}

// first is the first group of a pattern's first match, "" for none.
func first(pattern *regexp.Regexp, data []byte) string {
	if m := pattern.FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return ""
}

// hiddenBy finds a mount that lies over a folder, or inside it: what the image has there is not what is used.
func hiddenBy(mounts []string, folder string) string {
	for _, mount := range mounts {
		mount = path.Clean("/" + mount)
		if folder == mount || strings.HasPrefix(folder, strings.TrimSuffix(mount, "/")+"/") || strings.HasPrefix(mount, folder+"/") {
			return mount
		}
	}
	return ""
}
