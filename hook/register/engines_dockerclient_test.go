package register_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// dockerClient does what docker's user does: the words of the docker command, what they print, and their exit code.
type dockerClient interface {
	call(t *testing.T, stdin []byte, args ...string) (string, int)
}

// dockerCLI is the docker command.
type dockerCLI struct {
	program, socket string
	env             []string
}

func (c dockerCLI) call(t *testing.T, stdin []byte, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), c.program, append([]string{"-H", "unix://" + c.socket}, args...)...)
	cmd.Stdin, cmd.Env = bytes.NewReader(stdin), append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("start %s: %v", c.program, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// newestClient is a docker command that docker 29 talks to (API 1.44, docker 25), else the API itself.
func newestClient(t *testing.T, socket string) dockerClient {
	t.Helper()
	if program, err := exec.LookPath("docker"); err == nil {
		out, err := exec.CommandContext(t.Context(), program, "--version").Output()
		var major int
		if _, scanned := fmt.Sscanf(string(out), "Docker version %d.", &major); err == nil && scanned == nil && major >= 25 {
			t.Logf("the client is %s: %s", program, out)
			return dockerCLI{program: program, socket: socket}
		}
	}
	t.Log("the client is the Engine API: no docker command of 25 or later is here")
	return newDockerAPI(socket)
}

// dockerAPI speaks to the Engine API as the docker command does (docs.docker.com/reference/api/engine), as far as these
// tests go. Where the daemon refuses to start a container the exit code is 125, as with docker run.
type dockerAPI struct{ http *http.Client }

func newDockerAPI(socket string) dockerAPI {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return dockerAPI{&http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// ask sends a body (bytes as they are, else as JSON) and returns what was answered; ok: without an error.
func (a dockerAPI) ask(t *testing.T, method, path string, body any) (answer string, ok bool) {
	t.Helper()
	data, raw := body.([]byte)
	kind := "application/x-tar"
	if !raw {
		var err error
		data, err = json.Marshal(body)
		must(t, err)
		kind = "application/json"
	}
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "http://docker/v1.44"+path, bytes.NewReader(data))
	must(t, err)
	request.Header.Set("Content-Type", kind)
	response, err := a.http.Do(request)
	if err != nil {
		return err.Error(), false
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode < 400 {
		return string(text), true
	}
	var problem struct{ Message string }
	_ = json.Unmarshal(text, &problem)
	return "Error response from daemon: " + problem.Message, false
}

func (a dockerAPI) call(t *testing.T, stdin []byte, args ...string) (string, int) {
	t.Helper()
	name := args[len(args)-1]
	container := "/containers/" + name
	plain := func(answer string, ok bool) (string, int) {
		if !ok {
			return answer, 1
		}
		return answer, 0
	}
	switch args[0] {
	case "version", "info":
		return plain(a.ask(t, http.MethodGet, "/"+args[0], nil))
	case "import":
		repository, tag, _ := strings.Cut(name, ":")
		return plain(a.ask(t, http.MethodPost, "/images/create?fromSrc=-&repo="+repository+"&tag="+tag, stdin))
	case "build":
		out, ok := a.ask(t, http.MethodPost, "/build?nocache=1&networkmode=none", stdin)
		return plain(out, ok && !strings.Contains(out, `"error"`))
	case "inspect":
		out, ok := a.ask(t, http.MethodGet, container+"/json", nil)
		return plain("["+out+"]", ok)
	case "rm":
		return plain(a.ask(t, http.MethodDelete, container+"?force=1", nil))
	case "stop", "restart":
		return plain(a.ask(t, http.MethodPost, container+"/"+args[0], nil))
	case "start":
		return a.start(t, name, slices.Contains(args, "--attach"), 1)
	case "exec":
		return a.exec(t, args[1], args[2:])
	}
	return a.create(t, args[1:])
}

// create is docker run.
func (a dockerAPI) create(t *testing.T, args []string) (string, int) {
	t.Helper()
	host := map[string]any{"NetworkMode": "none"}
	config := map[string]any{"HostConfig": host}
	var name string
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	detach, remove := flags.Bool("d", false, ""), flags.Bool("rm", false, "")
	flags.StringVar(&name, "name", "", "")
	flags.String("network", "none", "")
	flags.Func("stop-timeout", "", func(v string) error { config["StopTimeout"] = json.Number(v); return nil })
	flags.Func("runtime", "", func(v string) error { host["Runtime"] = v; return nil })
	flags.Func("restart", "", func(v string) error { host["RestartPolicy"] = map[string]any{"Name": v}; return nil })
	flags.Func("gpus", "", func(string) error {
		host["DeviceRequests"] = []any{map[string]any{"Count": -1, "Capabilities": [][]string{{"gpu"}}}}
		return nil
	})
	flags.Func("device", "", func(v string) error {
		host["DeviceRequests"] = []any{map[string]any{"Driver": "cdi", "DeviceIDs": []string{v}}}
		return nil
	})
	flags.Func("env-file", "", func(v string) error {
		text, err := os.ReadFile(v)
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
		config["Env"] = lines
		return err
	})
	must(t, flags.Parse(args))
	config["Image"], config["Cmd"] = flags.Arg(0), flags.Args()[1:]
	out, ok := a.ask(t, http.MethodPost, "/containers/create?name="+url.QueryEscape(name), config)
	var made struct{ ID string }
	if !ok || json.Unmarshal([]byte(out), &made) != nil {
		return out, 125
	}
	if *remove {
		defer a.ask(t, http.MethodDelete, "/containers/"+made.ID+"?force=1", nil)
	}
	return a.start(t, made.ID, !*detach, 125)
}

// start starts a container and, attached, waits for its end; refused is the exit code where it does not start.
func (a dockerAPI) start(t *testing.T, name string, attach bool, refused int) (string, int) {
	t.Helper()
	out, ok := a.ask(t, http.MethodPost, "/containers/"+name+"/start", nil)
	if !ok {
		return out, refused
	}
	if !attach {
		return name, 0
	}
	var end struct{ StatusCode int }
	out, _ = a.ask(t, http.MethodPost, "/containers/"+name+"/wait", nil)
	must(t, json.Unmarshal([]byte(out), &end))
	out, _ = a.ask(t, http.MethodGet, "/containers/"+name+"/logs?stdout=1&stderr=1", nil)
	return out, end.StatusCode
}

func (a dockerAPI) exec(t *testing.T, name string, command []string) (string, int) {
	t.Helper()
	out, ok := a.ask(t, http.MethodPost, "/containers/"+name+"/exec", map[string]any{"AttachStdout": true, "AttachStderr": true, "Cmd": command})
	var made struct{ ID string }
	if !ok || json.Unmarshal([]byte(out), &made) != nil {
		return out, 1
	}
	out, _ = a.ask(t, http.MethodPost, "/exec/"+made.ID+"/start", map[string]any{})
	ended, _ := a.ask(t, http.MethodGet, "/exec/"+made.ID+"/json", nil)
	var end struct{ ExitCode int }
	must(t, json.Unmarshal([]byte(ended), &end))
	return out, end.ExitCode
}
