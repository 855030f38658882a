package checks

import (
	"path"
	"slices"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// firstLibcuda is the libcuda that a program of the container loads: the driver's own, which the runtime puts in, or one
// of the image.
type firstLibcuda struct {
	library *image.CompatLibrary // nil: the driver's own
	by      string               // what puts the library first; for the driver's own, why no other one is
	undo    []string             // what takes the library out, or puts the driver's first
	stub    bool                 // the library is for linking only
	tested  bool                 // the image's entrypoint puts it first only where it works
	sure    bool                 // what is started changes nothing of it
	why     string               // it is not known which; all else is empty then
}

// firstLibcuda follows ld.so(8): LD_LIBRARY_PATH, then the cache, into which NVIDIA's hooks write before the container
// starts. What the program itself may load by a path or an RPATH is not followed.
func (f Facts) firstLibcuda() firstLibcuda {
	compat := f.Launch.Needs.Compat
	l := compat.Loader
	switch {
	case !compat.Read:
		return firstLibcuda{why: firstKnown(compat.Why, "the image was not read")}
	case l == nil:
		return firstLibcuda{why: "the order of the loader is not known"}
	case bringsNone(compat):
		return firstLibcuda{by: "the image has none", sure: l.Steered == ""}
	}
	open := f.Launch.GPUs.Forward.Open
	if open && f.Launch.GPUs.Route == oci.RouteJITCDI { // nvidia-container-runtime makes the specification of today
		f.Launch.GPUs.Forward = oci.AssumedForward(oci.RouteJITCDI)
	}
	first, found := f.onPath(l)
	if !found {
		first = f.inCache(l)
	}
	if first.library == nil && first.why == "" && l.Own != "" {
		return firstLibcuda{why: "the image has a libcuda of its own, " + l.Own}
	}
	first.sure = first.why == "" && l.Steered == "" && !open
	return first
}

// bringsNone tells an image without a libcuda, and without a stub in LD_LIBRARY_PATH.
func bringsNone(compat image.Compat) bool {
	return len(compat.Libraries) == 0 && !slices.ContainsFunc(compat.Loader.Path, func(c image.Candidate) bool { return c.Library != nil })
}

// onPath looks through LD_LIBRARY_PATH.
func (f Facts) onPath(l *image.Loader) (first firstLibcuda, found bool) {
	for _, c := range l.Path {
		switch {
		case c.Unread != "":
			return firstLibcuda{why: "LD_LIBRARY_PATH: " + c.Folder + ": " + c.Unread}, true
		case f.holdsDriver(c):
			return firstLibcuda{by: "LD_LIBRARY_PATH names " + c.Folder + " first"}, true
		case c.Library != nil:
			undo := []string{"start it with an LD_LIBRARY_PATH without " + c.Folder}
			return firstLibcuda{library: c.Library, stub: c.Stub, by: "LD_LIBRARY_PATH (" + c.Folder + ")", undo: undo}, true
		}
	}
	if l.Tested != nil {
		return firstLibcuda{library: l.Tested, tested: true, by: "the image's entrypoint"}, true
	}
	return firstLibcuda{}, false
}

// holdsDriver tells whether the runtime puts the driver's libraries into a folder of the distribution's.
func (f Facts) holdsDriver(c image.Candidate) bool {
	if !c.System || f.Launch.Container == nil || f.Launch.GPUs.Route == oci.RouteLegacy {
		return c.System // a folder that libnvidia-container chooses by the image's distribution
	}
	folder := f.driverFolder()
	return folder == "" || strings.TrimPrefix(folder, "/usr") == strings.TrimPrefix(c.Folder, "/usr")
}

// driverFolder is where the container has the driver's libcuda, "" where its mounts do not tell.
func (f Facts) driverFolder() string {
	if f.Launch.Container == nil {
		return ""
	}
	for _, m := range f.Launch.Container.Mounts {
		if path.Clean(m.Source) == f.Launch.GPUs.Libcuda {
			return path.Dir(path.Clean(m.Destination))
		}
	}
	return ""
}

// inCache tells what the loader's cache will say once NVIDIA's hooks have written it.
func (f Facts) inCache(l *image.Loader) firstLibcuda {
	gpus := f.Launch.GPUs
	switch {
	case gpus.Route == oci.RouteLegacy && !gpus.Forward.Hook:
		return f.byLegacy(l)
	case gpus.Route == oci.RouteCDI || gpus.Route == oci.RouteJITCDI || gpus.Route == oci.RouteLegacy:
		return f.byHooks(l)
	}
	return firstLibcuda{why: "nobody knows how the driver's libcuda comes into this container"}
}

// byLegacy is libnvidia-container: it gives the compat folder and the driver's to ldconfig on its command line, so that
// nothing of /etc/ld.so.conf.d comes before them, and takes libraries of a newer branch than the driver's only (05
// libnvidia_container; mount mode mounts older ones too, but the link of libcuda.so.1 goes to the newest).
func (f Facts) byLegacy(l *image.Loader) firstLibcuda {
	forward := f.Launch.GPUs.Forward
	inert := firstLibcuda{by: "NVIDIA's legacy mode takes none of them"}
	switch forward.Mode {
	case "disabled":
		return firstLibcuda{by: "cuda-compat-mode of NVIDIA's toolkit is disabled"}
	case "hook":
		if forward.Open {
			return firstLibcuda{why: "the hooks of this launch are still to come"}
		}
		return inert
	}
	branch, known := f.branch()
	var newer []image.CompatLibrary
	for _, library := range l.Toolkit {
		d, err := cuda.ParseDriver(library.Version)
		if !known || err != nil {
			return firstLibcuda{why: "the driver's version is not known, or the library's"}
		}
		if d.Branch() > branch {
			newer = append(newer, library)
		}
	}
	switch {
	case len(newer) == 0:
		return inert
	case len(newer) > 1 || forward.Mode != "ldconfig" && forward.Mode != "mount":
		return firstLibcuda{why: "the configuration of NVIDIA's toolkit does not say what its legacy mode does with them (cuda-compat-mode)"}
	}
	return firstLibcuda{
		library: &newer[0], by: "NVIDIA's legacy mode (cuda-compat-mode = " + forward.Mode + ")",
		undo: []string{`set cuda-compat-mode = "disabled" in /etc/nvidia-container-runtime/config.toml`},
	}
}

// byHooks is a CDI launch: enable-cuda-compat writes 00-compat-*.conf, and update-ldcache writes the cache anew.
func (f Facts) byHooks(l *image.Loader) firstLibcuda {
	forward := f.Launch.GPUs.Forward
	if forward.Open && len(l.Toolkit)+len(l.Conf) > 0 {
		return firstLibcuda{why: "the hooks of this launch are still to come"}
	}
	inert := "the specification of this launch has no enable-cuda-compat hook"
	if forward.Hook {
		inert = "the enable-cuda-compat hook does not take them"
		if len(l.Toolkit) > 1 {
			return firstLibcuda{why: "several libraries lie in the folder that the enable-cuda-compat hook looks into"}
		}
		if len(l.Toolkit) == 1 && l.Cache { // it leaves an image without a cache alone
			switch takes, sure := f.hookTakes(l.Toolkit[0]); {
			case !sure || takes && (!forward.UpdatesCache || l.ConfWhy != ""):
				return firstLibcuda{why: "whether the enable-cuda-compat hook takes " + l.Toolkit[0].Path + " depends on the toolkit's version"}
			case takes:
				return firstLibcuda{
					library: &l.Toolkit[0], by: "the enable-cuda-compat hook",
					undo: append(f.driverFirst(), f.withoutHook(l.Toolkit[0])),
				}
			}
		}
	}
	return f.byConf(l, inert)
}

// driverFirst is how one container gets the driver's libcuda: LD_LIBRARY_PATH comes before the loader's cache.
func (f Facts) driverFirst() []string {
	folder := f.driverFolder()
	if !image.IsSystemFolder(folder) {
		return nil
	}
	return []string{"start it with an LD_LIBRARY_PATH that begins with " + folder + ", where the driver's lies"}
}

// withoutHook is how containers are started without the enable-cuda-compat hook. The variable is that of nvidia-ctk's
// --disable-hook; nvidia-cdi-refresh, since toolkit 1.18, writes the specification anew at every boot.
func (f Facts) withoutHook(library image.CompatLibrary) string {
	if f.Launch.GPUs.Route == oci.RouteLegacy {
		return `set cuda-compat-mode = "disabled" in /etc/nvidia-container-runtime/config.toml`
	}
	if f.Launch.GPUs.Route == oci.RouteJITCDI {
		return "delete " + path.Dir(library.Path) + " from the image"
	}
	return "leave the hook out on this host: NVIDIA_CTK_CDI_GENERATE_DISABLED_HOOKS=enable-cuda-compat in " +
		"/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env, then systemctl restart nvidia-cdi-refresh"
}

// hookTakes is the rule of enable-cuda-compat. Until 2026 it compared the branches alone; since then the library's note,
// where it has one, and the whole version decide (05 toolkit_hook, nvidia-container-toolkit#1784). Where the two differ
// it is not sure.
func (f Facts) hookTakes(library image.CompatLibrary) (takes, sure bool) {
	forward := f.Launch.GPUs.Forward
	if forward.HostDriver == "" && forward.HostCUDA == "" {
		return false, true
	}
	driver, of, known := f.hookCompares(library)
	if !known || forward.HostCUDA != "" || forward.Folder != "" {
		return false, false
	}
	listed := library.Note == nil || library.Note.Serves(driver.Branch())
	switch {
	case of.Branch() > driver.Branch():
		return listed, listed
	case of.Branch() < driver.Branch() || of.Compare(driver) <= 0 || library.Note == nil:
		return false, true
	}
	return false, !listed
}

// hookCompares are the two versions that the hook compares.
func (f Facts) hookCompares(library image.CompatLibrary) (driver, of cuda.Driver, known bool) {
	version := f.Launch.GPUs.Forward.HostDriver
	if version == oci.LoadedDriver {
		version = f.driverName()
	}
	driver, err := cuda.ParseDriver(version)
	of, wrong := cuda.ParseDriver(library.Version)
	return driver, of, err == nil && wrong == nil
}

// byConf goes through /etc/ld.so.conf.d as update-ldcache does: it names the driver's folder in 00-nvcr-*.conf, in
// nvcr-*.conf before toolkit 1.17.5, or in zz-nvcr-*.conf where it is one of the distribution's (toolkit 1.20,
// internal/ldconfig), each where no file names it.
func (f Facts) byConf(l *image.Loader, inert string) firstLibcuda {
	switch {
	case !f.Launch.GPUs.Forward.UpdatesCache && l.Cache:
		return firstLibcuda{why: "the image's own cache of the loader counts at this launch, which may name any libcuda of the image first"}
	case l.ConfWhy != "":
		return firstLibcuda{why: l.ConfWhy}
	}
	return f.byFiles(l, inert)
}

func (f Facts) byFiles(l *image.Loader, inert string) firstLibcuda {
	for _, c := range l.Conf {
		name := path.Base(c.File)
		switch {
		case f.holdsDriver(c) || name >= "zz-nvcr-":
			return firstLibcuda{by: inert}
		case c.Library == nil && c.Unread == "":
		case c.Unread != "":
			return firstLibcuda{why: c.File + ": " + c.Folder + ": " + c.Unread}
		case !l.Cache:
			return firstLibcuda{why: c.File + " names " + c.Folder + ": the image has no cache of the loader"}
		case name >= "00-nvcr-":
			return firstLibcuda{why: c.File + " comes before or after the driver's folder by the toolkit's version"}
		default:
			undo := append(f.driverFirst(), "delete "+c.File+" from the image, or bind /dev/null over it")
			return firstLibcuda{library: c.Library, stub: c.Stub, by: c.File, undo: undo}
		}
	}
	return firstLibcuda{by: inert}
}
