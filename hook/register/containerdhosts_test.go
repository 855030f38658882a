package register

import "strings"

// debianContainerd has what Debian 12's package installs.
const debianContainerd = `version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
`

// nvidiaDropIn has what nvidia-ctk 1.20 makes of a configuration with a runc handler.
const nvidiaDropIn = `version = 2

[plugins]

  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.example/pause:3"

    [plugins."io.containerd.grpc.v1.cri".containerd]

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
            BinaryName = "/usr/bin/nvidia-container-runtime"
            SystemdCgroup = true

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
            SystemdCgroup = true
`

const importsConfD = "imports = [\"/etc/containerd/conf.d/*.toml\"]\n"

const (
	criV2 = `plugins."io.containerd.grpc.v1.cri"`
	criV3 = `plugins.'io.containerd.cri.v1.runtime'`
)

// containerdHosts are configurations by name: the files, the handler in force and the runtime behind it.
var containerdHosts = map[string]struct {
	files   map[string]string
	handler string
	next    string
}{
	"none":   {handler: "runc", next: "/usr/sbin/runc"},
	"debian": {files: map[string]string{containerdConfig: debianContainerd}, handler: "runc", next: "/usr/sbin/runc"},
	"crlf":   {files: map[string]string{containerdConfig: strings.ReplaceAll(debianContainerd, "\n", "\r\n")}, handler: "runc", next: "/usr/sbin/runc"},
	"no last line break, crun": {
		files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd]\ndefault_runtime_name = \"crun\"\n# ours\n[" + criV2 +
			".containerd.runtimes.crun]\nruntime_type = \"io.containerd.runc.v2\"\npod_annotations = [\n  \"a.*\", # theirs\n]\n[" + criV2 +
			".containerd.runtimes.crun.options]\n  BinaryName = '/usr/bin/crun' # from apt"},
		handler: "crun", next: "/usr/bin/crun",
	},
	"dotted keys": {
		files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd]\nruntimes.runc.runtime_type = \"io.containerd.runc.v2\"\n" +
			"runtimes.runc.options.BinaryName = \"runc\"\n\n[debug]\nlevel = \"info\"\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"inline tables": {
		files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd.runtimes]\n" +
			"runc = { runtime_type = \"io.containerd.runc.v2\", pod_annotations = [], options = { SystemdCgroup = true } } # kept short\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"nvidia-ctk's drop-in, version 2": {
		files:   map[string]string{containerdConfig: importsConfD + debianContainerd, "/etc/containerd/conf.d/99-nvidia.toml": nvidiaDropIn},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"nvidia is the default": {
		files: map[string]string{
			containerdConfig:                        importsConfD + debianContainerd,
			"/etc/containerd/conf.d/99-nvidia.toml": strings.Replace(nvidiaDropIn, ".containerd]\n", ".containerd]\n      default_runtime_name = \"nvidia\"\n", 1),
		},
		handler: "nvidia", next: "/usr/bin/nvidia-container-runtime",
	},
	"version 3": {
		files: map[string]string{containerdConfig: "# by hand\nversion = 3\n\n[" + criV3 + ".containerd.runtimes.runc]\n  runtime_type = 'io.containerd.runc.v2'\n" +
			"  pod_annotations = ['a.*']\n  [" + criV3 + ".containerd.runtimes.runc.options]\n    SystemdCgroup = true\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"version 4, imports": {
		files:   map[string]string{containerdConfig: "version = 4\nimports = ['/etc/containerd/conf.d/*.toml']\r\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"version 3, nvidia from a file of version 2": {
		files: map[string]string{
			containerdConfig:                        "version = 3\n" + importsConfD,
			"/etc/containerd/conf.d/99-nvidia.toml": strings.Replace(nvidiaDropIn, ".containerd]\n", ".containerd]\n      default_runtime_name = \"nvidia\"\n", 1),
		},
		handler: "nvidia", next: "/usr/bin/nvidia-container-runtime",
	},
	"version 3, crun from a relative import": {
		files: map[string]string{
			containerdConfig:            "version = 3\nimports = [\n  'more.toml', # mine\n]\n",
			"/etc/containerd/more.toml": "version = 3\n[" + criV3 + ".containerd]\ndefault_runtime_name = 'crun'\nruntimes.crun.runtime_type = 'io.containerd.runc.v2'\nruntimes.crun.options.BinaryName = '/usr/bin/crun'\n",
		},
		handler: "crun", next: "/usr/bin/crun",
	},
}

var containerdPrograms = []string{"/usr/bin/containerd", "/usr/sbin/runc", "/usr/bin/crun", "/usr/bin/nvidia-container-runtime"}
