package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/report"
)

// asked is what check says of one image.
type asked struct {
	code   int
	report report.Report
	stderr string
}

func askCheck(t *testing.T, args ...string) asked {
	t.Helper()
	var stdout, stderr bytes.Buffer
	policy := filepath.Join(t.TempDir(), "config.toml")
	putFile(t, policy, "")
	args = append([]string{"gpu-preflight", "--config", policy, "--format", "json", "check"}, args...)
	a := asked{code: run(context.Background(), args, nil, &stdout, &stderr)}
	a.stderr = stderr.String()
	if a.code != exitUsage {
		if err := json.Unmarshal(stdout.Bytes(), &a.report); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, stdout.String())
		}
	}
	return a
}

const oldGeForce = "driver=535.183.06,arch=8.9,brand=GEFORCE_RTX"

// signs are what was found, in short.
func (a asked) signs() string {
	var words []string
	for _, e := range a.report.Container.Evidence {
		word := e.Kind + " " + e.Version
		if e.Certain {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// ofImage are the results on the image, which are those that a look into it decides.
func (a asked) ofImage() (results []checks.Result) {
	for _, r := range a.report.Results {
		if r.Layer == checks.Image {
			results = append(results, r)
		}
	}
	return results
}

// TestImageAgreesWithHook: the hook, on an image that podman unpacked, and check --image --deep, on the same image in a
// registry, in an OCI layout and in an archive that skopeo made, come to the same verdict for the same reasons, and find
// the same: what the image's contents call for.
func TestImageAgreesWithHook(t *testing.T) {
	all := append(slices.Clone(images), cudartImage(t))
	for _, layout := range layouts {
		if !slices.ContainsFunc(all, func(i realImage) bool { return strings.HasPrefix(i.name, layout) }) {
			t.Errorf("no image has the layout of %s", layout)
		}
	}
	agreeOnEach(t, all)
}

// TestCollectedEnvironmentsAgreeWithHook: the same of the virtual environments of the corpus.
func TestCollectedEnvironmentsAgreeWithHook(t *testing.T) { agreeOnEach(t, corpusImages(t)) }

func agreeOnEach(t *testing.T, all []realImage) {
	t.Helper()
	need(t, "skopeo", "docker-registry", "podman")
	geforce := newRealHost(t, "535.183.06", "NVIDIA GeForce RTX 4090", "cuda=12020\ngpu.0.brand=5\ngpu.0.cc=8.9\n")
	blackwell := newRealHost(t, "570.86.10", "NVIDIA GeForce RTX 5090", "cuda=12080\ngpu.0.brand=5\ngpu.0.cc=12.0\n")
	registry := startRegistry(t, "")
	store, err := os.MkdirTemp("", "podman") //nolint:usetesting // podman takes a path of 50 characters, and the test's name is in the other
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(store) })
	podman := []string{"--root", filepath.Join(store, "root"), "--runroot", filepath.Join(store, "run"), "--storage-driver", "vfs"}
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			built := filepath.Join(dir, "built")
			test.write(t, built)
			from := "oci:" + built + ":built"
			places := map[string]string{
				"registry": registry + "/test/" + test.name + ":v1", "layout": "oci:" + dir + "/layout:v1",
				"archive": "docker-archive:" + dir + "/saved.tar:test/" + test.name + ":v1",
			}
			tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", from, "docker://"+places["registry"])
			tool(t, "skopeo", "copy", "--insecure-policy", "--dest-compress-format", "zstd", from, places["layout"])
			tool(t, "skopeo", "copy", "--insecure-policy", from, places["archive"])
			tool(t, "podman", append(podman, "load", "--quiet", "-i", filepath.Join(dir, "saved.tar"))...)
			rootfs := tool(t, "podman", append(podman, "image", "mount", "test/"+test.name+":v1")...)

			bundle := filepath.Join(dir, "geforce")
			test.bundle(t, bundle, rootfs, "535.183.06")
			agree(t, geforce, bundle, places, test.want, test.refused)
			bundle = filepath.Join(dir, "blackwell")
			test.bundle(t, bundle, rootfs, "570.86.10")
			agree(t, blackwell, bundle, map[string]string{"registry": places["registry"]}, test.want, test.refused)
			_, _, kept := blackwell.launch(t, bundle)
			lacks := slices.ContainsFunc(kept.Results, func(r checks.Result) bool { return r.ID == "gpu-code-available" })
			if lacks != test.lacks {
				t.Errorf("no code for sm_120: %t, want %t: %v", lacks, test.lacks, kept.Results)
			}
		})
	}
}

// agree asks the hook and check for one launch.
func agree(t *testing.T, host realHost, bundle string, places map[string]string, found string, refused bool) {
	t.Helper()
	code, message, kept := host.launch(t, bundle)
	if refused != (code == exitRefused) || code > exitRefused || refused != (message != "") {
		t.Errorf("the hook: exit code %d, want refused %t: %q %v", code, refused, message, kept.Results)
	}
	unpacked := host.check(t, "--bundle", bundle)
	if got := unpacked.signs(); found != "" && got != found {
		t.Errorf("found %q, want %q", got, found)
	}
	for place, reference := range places {
		got := host.check(t, "--image", reference, "--deep", "--platform", "linux/amd64")
		if got.code != code || got.stderr != "" || got.report.Verdict != kept.Verdict {
			t.Errorf("%s: exit code %d, %s, the hook's %d, %s: %s", place, got.code, got.report.Verdict, code, kept.Verdict, got.stderr)
		}
		if !reflect.DeepEqual(ofImageAlone(got.report.Results), ofImageAlone(kept.Results)) {
			t.Errorf("%s: results\n%v\nof the hook\n%v", place, ofImageAlone(got.report.Results), kept.Results)
		}
		if !reflect.DeepEqual(got.ofImage(), unpacked.ofImage()) {
			t.Errorf("%s: results\n%v\nof the bundle\n%v", place, got.ofImage(), unpacked.ofImage())
		}
		if !reflect.DeepEqual(got.report.Container.Evidence, unpacked.report.Container.Evidence) {
			t.Errorf("%s: evidence\n%v\nof the bundle\n%v", place, got.report.Container.Evidence, unpacked.report.Container.Evidence)
		}
	}
}

// TestImageReferences: every form of a reference, the platforms of an index, and what is said of a wrong one.
func TestImageReferences(t *testing.T) {
	need(t, "skopeo", "docker-registry")
	// The hash is that of htpasswd -nbB preflight secret.
	users := filepath.Join(t.TempDir(), "htpasswd")
	putFile(t, users, "preflight:$2y$05$cg3uZ7vhldu8cwZ8KKbtiOO7e40FfXF6AGkVGEeGfuDCpj8b15PMG\n")
	open, closed := startRegistry(t, ""), startRegistry(t, "auth: {htpasswd: {realm: test, path: "+users+"}}\n")
	dir := t.TempDir()
	image := builtImage{env: []string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0"}, layers: []layerFiles{pythonBase}}
	image.write(t, dir+"/one")
	image.writePlatforms(t, dir+"/many")
	from := "oci:" + dir + "/one:built"
	tool(t, "skopeo", "copy", "--insecure-policy", from, "docker-archive:"+dir+"/saved.tar:test/one:v1")
	tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", from, "docker://"+open+"/test/one:v1")
	tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--all", "oci:"+dir+"/many:built", "docker://"+open+"/test/many:v1")
	tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds", "preflight:secret", from, "docker://"+closed+"/test/one:v1")
	digest := tool(t, "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+open+"/test/one:v1")
	putFile(t, dir+"/text", "no archive\n")
	putFile(t, dir+"/with/config.json", `{"auths": {"`+closed+`": {"auth": "cHJlZmxpZ2h0OnNlY3JldA=="}}}`)
	putFile(t, dir+"/without/config.json", `{}`)
	refused := "cuda-requirement"
	for _, test := range []struct {
		reference, platform, credentials, want string
	}{
		{reference: open + "/test/one:v1", want: refused},
		{reference: open + "/test/one@" + digest, want: refused},
		{reference: "oci:" + dir + "/one", want: refused},
		{reference: "oci:" + dir + "/one:built", want: refused},
		{reference: "docker-archive:" + dir + "/saved.tar", want: refused},
		{reference: "docker-archive:" + dir + "/saved.tar:v1", want: refused},
		{reference: "docker-archive:" + dir + "/saved.tar:test/one:v1", want: refused},
		{reference: open + "/test/many:v1", platform: "linux/arm64", want: refused},
		{reference: "oci:" + dir + "/many", platform: "linux/amd64", want: refused},
		{reference: closed + "/test/one:v1", credentials: "with", want: refused},

		{reference: closed + "/test/one:v1", credentials: "without", want: "does not show it without other credentials"},
		{reference: open + "/test/none:v1", want: "the registry " + open + " has no such image"},
		{reference: "127.0.0.1:1/test/one:v1", want: "the registry 127.0.0.1:1 cannot be reached"},
		{reference: "10.255.255.1:1/One", want: "could not parse reference"},
		{reference: open + "/test/many:v1", platform: "linux/s390x", want: `there is none for linux/s390x, only for "linux/amd64", "linux/arm64"`},
		{reference: "oci:" + dir + "/one", platform: "linux/arm64", want: `it is for "linux/amd64"`},
		{reference: "oci:" + dir + "/one", platform: "arm64", want: `platform "arm64" is not OS/ARCH`},
		{reference: "oci:" + dir + "/one:v2", want: `has no "v2", only "built"`},
		{reference: "oci:" + dir + "/nowhere", want: "no such file"},
		{reference: "docker-archive:" + dir + "/text", want: "it is no tar file"},
		{reference: "docker-archive:" + dir + "/saved.tar:v2", want: `it has no "v2", only`},
		{reference: "docker-archive:" + dir + "/nowhere", want: "no such file"},
	} {
		t.Setenv("DOCKER_CONFIG", filepath.Join(dir, test.credentials))
		args := []string{"--image", test.reference, "--assume", oldGeForce}
		if test.platform != "" {
			args = append(args, "--platform", test.platform)
		}
		got := askCheck(t, args...)
		if test.want == refused {
			if got.code != exitRefused || got.report.Container.Image != test.reference {
				t.Errorf("%v: exit code %d: %s", args, got.code, got.stderr)
			}
			continue
		}
		if got.code != exitUsage || !strings.Contains(got.stderr, test.want) || !strings.Contains(got.stderr, "image "+test.reference) {
			t.Errorf("%v: exit code %d, want %q in %q", args, got.code, test.want, got.stderr)
		}
	}
}

// TestImageWritesNothing: a layer of 64 MiB is read where no file can be written.
func TestImageWritesNothing(t *testing.T) {
	need(t, "strace")
	dir := t.TempDir()
	builtImage{cmd: []string{"python3"}, env: []string{defaultPath}, layers: []layerFiles{pythonBase, {"big": strings.Repeat("\x00", 64<<20)}}}.write(t, dir+"/layout")
	program := filepath.Join(dir, "gpu-preflight")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	putFile(t, dir+"/config.toml", "")
	trace := filepath.Join(dir, "trace")
	out := tool(t, "strace", "-f", "-o", trace, "-e", "trace=open,openat,openat2,creat,mkdir,mkdirat,rename,renameat2,link,linkat,symlinkat,mknodat,memfd_create,unlinkat",
		program, "--config", dir+"/config.toml", "check", "--image", "oci:"+dir+"/layout", "--deep", "--platform", "linux/amd64", "--assume", oldGeForce)
	if !strings.HasPrefix(out, "host") {
		t.Errorf("printed %q", out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "layout/index.json") {
		t.Error("the trace does not show the reading of the layout")
	}
	for line := range strings.Lines(string(text)) {
		if regexp.MustCompile(`O_WRONLY|O_RDWR|O_CREAT|creat\(|mkdir|rename|link|mknod|memfd`).MatchString(line) && !strings.Contains(line, "/sys/kernel/mm/transparent_hugepage") {
			t.Errorf("writes: %s", line)
		}
	}
}
