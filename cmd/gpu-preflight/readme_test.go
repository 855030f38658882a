package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// notRun are the commands of the documents that no test runs, and why.
var notRun = map[string]string{
	"make test":                              "it runs this test",
	"sudo ./install.sh":                      "it installs on this host; TestInstall… run it below other folders",
	"journalctl -t gpu-preflight -p warning": "it needs systemd",
}

// documents are those for people who use the program.
var documents = []string{"README.md", "docs/policy.md", "docs/operations.md", "docs/engines.md", "docs/architecture.md", "docs/checks.md", "docs/errors.md"}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(fixture.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shellLines are the lines of the fenced sh blocks.
func shellLines(document string) []string {
	var lines []string
	inside := false
	for line := range strings.Lines(document) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "":
			lines = append(lines, line)
		}
	}
	return lines
}

// sandbox is a user's folder on a host that is sound: its facts, policy and log are below it.
type sandbox struct{ dir, host string }

func newSandbox(t *testing.T) sandbox {
	t.Helper()
	files, links := fixture.HealthyHost(2)
	s := sandbox{dir: t.TempDir(), host: fixture.Tree(t, files, links)}
	config := filepath.Join(s.dir, "config.toml")
	putFile(t, config, "[log]\nfile = \""+s.dir+"/launches.jsonl\"\njournald = false\n")
	putFile(t, filepath.Join(s.dir, "launches.jsonl"), `{"schema": "gpu-preflight.record/v1", "verdict": "allow"}`+"\n")
	putFile(t, filepath.Join(s.dir, "bundle", "config.json"), `{"root": {"path": "rootfs"}, "linux": {"devices": [{"path": "/dev/nvidia0", "type": "c", "major": 195}]}}`)
	if err := os.CopyFS(filepath.Join(s.dir, "deploy"), os.DirFS(filepath.Join(fixture.Root(), "deploy"))); err != nil {
		t.Fatal(err)
	}
	builtImage{layers: []layerFiles{pythonBase}}.write(t, filepath.Join(s.dir, "image"))
	for _, name := range []string{"a", "b"} {
		putFile(t, filepath.Join(s.dir, "hosts", name+".json"), "{}")
	}
	t.Setenv("STORY_CONFIG", config)
	for _, program := range []string{"usr/bin/dockerd", "usr/sbin/runc", "usr/local/bin/gpu-preflight-hook"} {
		putFile(t, filepath.Join(s.host, program), "")
		if err := os.Chmod(filepath.Join(s.host, program), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func putFile(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// run runs a line of a document and returns its exit code. go and install.sh run in the source tree, in which
// they change nothing; gpu-preflight is told that the host is the sandbox's.
func (s sandbox) run(t *testing.T, line string) (code int, output string) {
	t.Helper()
	line = strings.TrimPrefix(line, "sudo ")
	dir := s.dir
	if strings.HasPrefix(line, "go ") || strings.HasPrefix(line, "./install.sh") {
		dir = fixture.Root()
	} else {
		line = regexp.MustCompile(`\bgpu-preflight `).ReplaceAllString(line, "gpu-preflight --root '"+s.host+"' ")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), goFolders(t)...)
	cmd.Env = append(cmd.Env, "HOME="+s.dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// goFolders keeps Go's caches where they are when HOME is another.
func goFolders(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i := range values {
		values[i] = names[i] + "=" + values[i]
	}
	return values
}

// TestDocumentedCommands: every line of every sh block does what it says: exit code 0, or the one in its comment.
func TestDocumentedCommands(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range documents {
		s := newSandbox(t)
		for _, line := range shellLines(readDocument(t, name)) {
			seen[line] = true
			if notRun[line] != "" {
				continue
			}
			want := 0
			if strings.HasSuffix(line, "# exit code 1") {
				want = 1
			}
			if code, out := s.run(t, line); code != want {
				t.Errorf("%s: %s: exit code %d, want %d\n%s", name, line, code, want, out)
			}
		}
		if disabled, err := filepath.Glob(s.host + "/*/gpu-preflight/disabled"); err != nil || len(disabled) > 0 {
			t.Errorf("%s leaves the switch off: %v, %v", name, disabled, err)
		}
	}
	if len(seen) < 12 {
		t.Errorf("only %d commands were found", len(seen))
	}
	for line := range notRun {
		if !seen[line] {
			t.Errorf("%q is in no document", line)
		}
	}
}

// TestDocumentsNameWhatExists: commands, files that links lead to, and the headings that they name.
func TestDocumentsNameWhatExists(t *testing.T) {
	var commands []string
	for _, c := range newApp(nil, nil, nil).Commands {
		commands = append(commands, c.Name)
	}
	named := regexp.MustCompile("(?m)(?:^(?:sudo )?|[`;] ?)gpu-preflight ([a-z]+)")
	linked := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, name := range documents {
		text := readDocument(t, name)
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(commands, match[1]) {
				t.Errorf("%s: there is no gpu-preflight %s", name, match[1])
			}
		}
		for _, match := range linked.FindAllStringSubmatch(text, -1) {
			target := filepath.Join(fixture.Root(), filepath.Dir(name), match[1])
			if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the link to %s leads nowhere", name, match[1])
			}
		}
	}
}

// TestDocumentsAreShort: what is read at 3 a.m. and before a first change stays short.
func TestDocumentsAreShort(t *testing.T) {
	for name, limit := range map[string]int{"README.md": 150, "docs/architecture.md": 120} {
		if lines := strings.Count(readDocument(t, name), "\n"); lines > limit {
			t.Errorf("%s has %d lines, more than %d", name, lines, limit)
		}
	}
}

// TestReadmeRefusal: the refusal that the README shows is the one that this host and image get today.
func TestReadmeRefusal(t *testing.T) {
	s := newSandbox(t)
	_, out := s.run(t, "gpu-preflight check --assume driver=535.183.06,arch=8.9,brand=GeForce --env 'NVIDIA_REQUIRE_CUDA=cuda>=13.0'")
	shown := strings.Join(strings.Fields(readDocument(t, "README.md")), " ")
	found := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		said, fix := strings.CutPrefix(line, "fix: ")
		why, because := strings.CutPrefix(said, "why: ")
		if fix || because || strings.HasPrefix(line, "the image requires") {
			found++
			if !strings.Contains(shown, why) {
				t.Errorf("the README does not show %q", why)
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d parts of the refusal were found in\n%s", found, out)
	}
}
