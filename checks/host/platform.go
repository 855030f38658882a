package host

import (
	"strings"

	"gpu-preflight/checks/fact"
)

// initialPIDNamespace is the inode number of the first pid namespace, fixed in the kernel (PROC_PID_INIT_INO).
const initialPIDNamespace = "pid:[4026531836]"

// isThere is whether path exists, as a fact.
func (t tree) isThere(path string) fact.Fact[bool] {
	there, err := t.exists(path)
	if err != nil {
		return fact.Missing[bool](path, reason(err))
	}
	return fact.Of(there, path)
}

// tegra tells a Jetson: /etc/nv_tegra_release, or a soc0 family that begins with tegra (go-nvlib's rule).
func (t tree) tegra() fact.Fact[bool] {
	release := t.isThere("/etc/nv_tegra_release")
	if release.Known() && release.Value {
		return release
	}
	const path = "/sys/devices/soc0/family"
	family, err := t.text(path)
	if err != nil && !absent(err) {
		return fact.Missing[bool](path, reason(err))
	}
	if strings.HasPrefix(strings.ToLower(family), "tegra") {
		return fact.Of(true, path)
	}
	return release
}

// hypervisor tells a virtual machine: the processor shows the hypervisor flag, which no bare metal has. Only x86
// lists it; without a flags line it is unknown.
func (t tree) hypervisor() fact.Fact[bool] {
	const path = "/proc/cpuinfo"
	text, err := t.read(path, maxCache)
	if err != nil {
		return fact.Missing[bool](path, reason(err))
	}
	for key, value := range pairs(string(text), ":") {
		if key == "flags" {
			return fact.Of(strings.Contains(" "+value+" ", " hypervisor "), path)
		}
	}
	return fact.Missing[bool](path, "shows no flags")
}

// inInitialPIDNamespace tells whether all of the host's processes can be seen.
func (t tree) inInitialPIDNamespace() fact.Fact[bool] {
	const path = "/proc/self/ns/pid"
	text, err := t.readlink(path)
	if err != nil {
		return fact.Missing[bool](path, reason(err))
	}
	return fact.Of(text == initialPIDNamespace, path)
}

// kernel is the running kernel's release.
func (t tree) kernel() fact.Fact[string] {
	const path = "/proc/sys/kernel/osrelease"
	text, err := t.text(path)
	if err != nil {
		return fact.Missing[string](path, reason(err))
	}
	return fact.Of(text, path)
}

// os reads os-release(5), in /etc or else in /usr/lib.
func (t tree) os() fact.Fact[OS] {
	path := "/etc/os-release"
	text, err := t.text(path)
	if absent(err) {
		path = "/usr/lib/os-release"
		text, err = t.text(path)
	}
	if err != nil {
		return fact.Missing[OS](path, reason(err))
	}
	var found OS
	for key, value := range pairs(text, "=") {
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			found.ID = value
		case "VERSION_ID":
			found.VersionID = value
		case "ID_LIKE":
			found.Like = value
		case "PRETTY_NAME":
			found.Pretty = value
		}
	}
	return fact.Of(found, path)
}
