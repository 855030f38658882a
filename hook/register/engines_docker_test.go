package register_test

import (
	"strings"
	"testing"
)

// dockerText is what docker's user reads of a launch for NVIDIA's old hook, which compares the requirement itself.
var dockerText = []string{
	"gpu-preflight refused this container: the image requires \"cuda>=13.0\" (NVIDIA_REQUIRE_CUDA)", "driver 535.183.06",
	"Fix: install driver branch 580 or later", "[cuda-requirement; gpu-preflight logs]",
}

// The launch paths of docker run --gpus.
const (
	viaLegacy = "docker --gpus, legacy hook"
	viaCDI    = "docker --gpus, CDI"
)

// registers runs gpu-preflight register or unregister for some engines.
func (d *dockerHost) registers(t *testing.T, command string, engines ...string) string {
	t.Helper()
	return d.run(t, append([]string{"gpu-preflight", command}, engines...)...)
}

// follow starts docker anew where register or unregister say that it has to read its files.
func (d *dockerHost) follow(t *testing.T, said string) {
	t.Helper()
	if strings.Contains(said, "systemctl re") {
		d.restart(t)
	}
}

// way is a launch path of this docker. The container stays until the next one.
func (d *dockerHost) way(row string, says []string, flags ...string) way {
	return way{
		row: row, says: says,
		bad: func(t *testing.T) launched {
			t.Helper()
			d.docker(t, "rm", "-f", "bad")
			out, code := d.launch(t, append([]string{"--name=bad"}, flags...)...)
			l := launched{started: code == 0 && strings.Contains(out, ran), said: strings.ReplaceAll(out, `\"`, `"`)}
			if !l.started && code != 125 {
				t.Errorf("%s: exit %d, want 0 or 125: %s", row, code, out)
			}
			return l
		},
		more: func(t *testing.T, _ launched) {
			t.Helper()
			c := d.inspect(t, "bad")
			contains(t, strings.ReplaceAll(c.State.Error, `\"`, `"`), says...)
			if c.State.Status != "created" || c.State.ExitCode != 128 {
				t.Errorf("%s: docker inspect: %+v", row, c.State)
			}
		},
	}
}

// build is docker build of an image that this host cannot serve, with a step; env chooses the builder.
func (d *dockerHost) build(env ...string) way {
	client := d.client
	if cli, ok := client.(dockerCLI); ok {
		cli.env = env
		client = cli
	}
	return way{row: "docker build", bad: func(t *testing.T) launched {
		t.Helper()
		file := "FROM bb:import\n"
		for line := range strings.Lines(readFile(t, cudaEnv())) {
			if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found && name != "PATH" && !strings.HasPrefix(name, "#") {
				file += "ENV " + name + "=\"" + value + "\"\n"
			}
		}
		file += "RUN [\"/bin/busybox\", \"echo\", \"" + ran + "\"]\n"
		out, code := client.call(t, tarOf(t, "Dockerfile", []byte(file)), "build", "--no-cache", "--network=none", "-")
		return launched{started: code == 0 && strings.Count(out, ran) > 1, said: out} // the step is printed, too
	}}
}

// TestEngineDockerWays walks docker's launch paths, on Debian's docker and on the line of docker 29: which of them are
// judged by which registration, and what status says of it.
func TestEngineDockerWays(t *testing.T) {
	const (
		daemon   = `{"data-root": "DIR/data"}`
		withCrun = `{"data-root": "DIR/data", "default-runtime": "crun", "runtimes": {"crun": {"path": "/usr/bin/crun"}}}`
	)
	const legacy, cdiHook = "nvidia-container-runtime-hook", "nvidia-cdi-hook"
	byGPUs := func(d *dockerHost, says []string) way { return d.way(viaLegacy, says, "--gpus=all") }
	byCDI := func(d *dockerHost, says []string) way { return d.way(viaCDI, says, "--gpus=all") }
	byDevice := func(d *dockerHost, says []string) way {
		return d.way("docker --device, CDI", says, "--device=nvidia.com/gpu=all")
	}
	runcLegacy := func(d *dockerHost, says []string) way {
		return d.way("docker --runtime=runc, legacy hook", says, "--gpus=all", "--runtime=runc")
	}
	runcCDI := func(d *dockerHost, says []string) way {
		return d.way("docker --runtime=runc, CDI", says, "--gpus=all", "--runtime=runc")
	}
	for _, row := range []struct {
		name    string
		line    func(t *testing.T) dockerLine
		daemon  string
		toolkit string
		walks   map[string]func(d *dockerHost) []way // by the engines that are registered
	}{
		{"20.10", debianDocker, daemon, legacy, map[string]func(*dockerHost) []way{
			"docker": func(d *dockerHost) []way {
				return []way{byGPUs(d, dockerText), runcLegacy(d, nil), d.build("DOCKER_BUILDKIT=0"), d.build("DOCKER_BUILDKIT=1")}
			},
		}},
		{"20.10 with crun", debianDocker, withCrun, legacy, map[string]func(*dockerHost) []way{
			"docker": func(d *dockerHost) []way { return []way{byGPUs(d, dockerText), runcLegacy(d, nil)} },
		}},
		{"29 with the legacy hook", newestDocker, daemon, legacy, map[string]func(*dockerHost) []way{
			"docker": func(d *dockerHost) []way { return []way{byGPUs(d, dockerText), runcLegacy(d, nil), d.build()} },
			"cdi":    func(d *dockerHost) []way { return []way{byGPUs(d, nil), runcLegacy(d, nil), byDevice(d, refusedText)} },
		}},
		{"29 with CDI", newestDocker, daemon, cdiHook, map[string]func(*dockerHost) []way{
			"docker": func(d *dockerHost) []way {
				return []way{byCDI(d, refusedText), byDevice(d, refusedText), runcCDI(d, nil), d.build()}
			},
			"cdi": func(d *dockerHost) []way {
				return []way{byCDI(d, refusedText), byDevice(d, refusedText), runcCDI(d, refusedText), d.build()}
			},
			"docker cdi": func(d *dockerHost) []way {
				return []way{byCDI(d, refusedText), byDevice(d, refusedText), runcCDI(d, refusedText), d.build()}
			},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := oldHost(t, "")
			d := newDockerHost(t, row.line(t), s, row.daemon, row.toolkit)
			for names, ways := range row.walks {
				t.Run(names, func(t *testing.T) {
					engines := strings.Fields(names)
					walk(t, host{
						in: d.within(), records: func(t *testing.T) int { t.Helper(); return len(s.records(t)) },
						register: func(t *testing.T) {
							t.Helper()
							d.follow(t, d.registers(t, "register", engines...))
							d.letsPass(t)
						},
						unregister: func(t *testing.T) {
							t.Helper()
							d.docker(t, "rm", "-f", "bad")
							d.follow(t, d.registers(t, "unregister", engines...))
						},
					}, ways(d))
				})
			}
		})
	}
}

// letsPass starts what is not to be refused while docker is registered: a container without a GPU, untouched and
// unrecorded, and one with a GPU on a host that serves it.
func (d *dockerHost) letsPass(t *testing.T) {
	t.Helper()
	n := len(d.records(t))
	out, code := d.launch(t, "--rm")
	started(t, out, code)
	if list := d.records(t); len(list) != n {
		t.Errorf("a container without a GPU was recorded: %+v", list[n:])
	}
	good := newHost(t)
	d.look(t, good)
	out, code = d.launch(t, "--rm", "--gpus=all")
	started(t, out, code)
	for _, r := range good.records(t) {
		if r.Verdict != "allow" || r.Problem != "" {
			t.Errorf("record of the good host: %+v", r)
		}
	}
	d.look(t, d.site)
}
