package remedy

import (
	"strconv"
	"strings"

	"gpu-preflight/checks/host"
)

// Module is what brings the driver's module for a kernel, in the way that this host has its modules.
func (h Host) Module(kernel string) []string {
	if words := h.Image(); words != "" {
		return []string{"boot an image that holds the driver's module: " + words}
	}
	switch h.ModuleOrigin() {
	case host.OriginPrebuilt:
		return h.prebuilt(kernel)
	case host.OriginDKMS:
		return h.build(kernel)
	case host.OriginRunfile:
		return []string{
			"run NVIDIA's .run installer again for kernel " + kernel + " with --dkms, so that it is built for each kernel to come; or use the distribution's packages",
		}
	case host.OriginKmod:
		return h.kmod(kernel)
	case host.OriginOther:
	}
	return []string{"install the driver's module for kernel " + kernel + " in the way the driver was installed"}
}

// ModuleOrigin is how this host gets its modules: by the packages first, then by the files of any kernel.
func (h Host) ModuleOrigin() host.Origin {
	for _, p := range h.parts {
		if origin := p.moduleOrigin(); origin != host.OriginOther {
			return origin
		}
	}
	if len(h.facts.Stack.DKMS.Value) > 0 {
		return host.OriginDKMS
	}
	for _, k := range h.facts.Stack.Kernels.Value {
		for _, m := range k.Modules {
			return m.Origin
		}
	}
	if h.facts.Stack.Installer.Value.Log {
		return host.OriginRunfile
	}
	return host.OriginOther
}

// moduleOrigin is the way of a package that brings a module; other for any other package.
func (p Part) moduleOrigin() host.Origin {
	switch {
	case p.Role != RoleModule:
		return host.OriginOther
	case strings.HasPrefix(p.Name, "linux-"):
		return host.OriginPrebuilt
	case strings.Contains(p.Name, "dkms") || strings.Contains(p.Name, "kernel-source") || strings.Contains(p.Name, "kernel-open"):
		return host.OriginDKMS
	case strings.Contains(p.Name, "kmod") || strings.Contains(p.Name, "-G0"):
		return host.OriginKmod
	}
	return host.OriginOther
}

// prebuilt names Ubuntu's package of the module for one kernel.
func (h Host) prebuilt(kernel string) []string {
	for _, p := range h.parts {
		if !strings.HasPrefix(p.Name, "linux-modules-nvidia-") {
			continue
		}
		name := "linux-modules-nvidia-" + flavored(p) + "-" + kernel
		if command, ok := h.Install("", name); ok {
			return []string{command}
		}
		return []string{"install " + name + h.notOffered("boot a kernel that has one")}
	}
	return []string{"install linux-modules-nvidia-* for kernel " + kernel}
}

// flavored is the middle of a prebuilt package's name: 535, 535-server, 535-open, 535-server-open.
func flavored(p Part) string {
	words := strconv.Itoa(p.Branch)
	if p.Server {
		words += "-server"
	}
	if p.Open {
		words += "-open"
	}
	return words
}

// build is what lets DKMS build the module: headers first, where they are missing.
func (h Host) build(kernel string) []string {
	fixes := h.Headers(kernel)
	for _, p := range h.parts {
		if p.Role == RoleModule && h.Family() == FamilyApt && strings.Contains(p.Name, "dkms") {
			return append(fixes, "dpkg-reconfigure "+p.Name)
		}
	}
	return append(fixes, "dkms autoinstall -k "+kernel)
}

// Headers is what installs a kernel's headers; nothing where they are there.
func (h Host) Headers(kernel string) []string {
	for _, k := range h.facts.Stack.Kernels.Value {
		if k.Release == kernel && k.Headers {
			return nil
		}
	}
	name := "linux-headers-" + kernel
	switch h.Family() {
	case FamilyDNF:
		return h.kernelDevel(kernel)
	case FamilyZypper:
		return []string{"install kernel-default-devel of kernel " + kernel}
	case FamilyPacman:
		return []string{"install the headers package of the kernel that runs (linux-headers, linux-lts-headers …)"}
	case FamilyApt, FamilyImage, FamilyUnknown:
	}
	if command, ok := h.Install("", name); ok {
		return []string{command}
	}
	return []string{"install " + name + h.notOffered("boot a kernel whose headers they offer")}
}

// kernelDevel is the same for Red Hat's kernels, whose release is version, release and architecture of their packages.
func (h Host) kernelDevel(kernel string) []string {
	name := "kernel-devel-" + kernel
	for _, c := range h.facts.Stack.Available.Value {
		if c.Name == "kernel-devel" && strings.HasPrefix(kernel, c.Version+".") {
			return []string{"dnf install " + name}
		}
	}
	if _, known := h.Offers("kernel-devel"); known {
		return []string{"install " + name + h.notOffered("boot a kernel whose headers they offer")}
	}
	return []string{"install " + name + " (dnf install " + name + " where a repository has it)"}
}

// notOffered tells that the local lists do not offer a package, where they were read.
func (h Host) notOffered(or string) string {
	if h.facts.Installed.Package.Known() {
		return ""
	}
	renew := ""
	if h.Family() == FamilyApt {
		renew = "apt-get update, or "
	}
	return " (the local package lists do not offer it: " + renew + or + ")"
}

// kmod is the way of the rpm distributions.
func (h Host) kmod(kernel string) []string {
	for _, p := range h.parts {
		if strings.HasPrefix(p.Name, "akmod") {
			return append(h.Headers(kernel), "akmods --force --kernels "+kernel)
		}
	}
	return []string{"install the kmod-nvidia package for kernel " + kernel + ", or boot a kernel that has one"}
}
