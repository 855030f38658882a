package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
)

// Settings of modprobe.d and of the kernel's command line that keep the driver, or a part of it, from working.
var moduleParameters = Check{
	ID:     "module-parameters",
	Title:  "no module setting stands in the driver's way",
	Layer:  Kernel,
	Why:    "a setting that somebody made once keeps the driver, or one of its parts, from working",
	CUDA:   []int{100},
	Links:  []string{"https://man7.org/linux/man-pages/man5/modprobe.d.5.html", "https://download.nvidia.com/XFree86/Linux-x86_64/515.43.04/README/kernel_open.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		lines, words := f.Host.Stack.ModProbe, f.Host.Stack.CommandLine
		if !lines.Known() {
			return unknown("%s", lines.Why())
		}
		for _, line := range lines.Value {
			if what, fix := f.hurts(line); what != "" {
				return warn("%s: %s", line.Path, what).fix(fix).from(line.Path)
			}
		}
		for _, word := range words.Value {
			if strings.Contains(word, "blacklist=") && slices.Contains(strings.Split(word[strings.Index(word, "=")+1:], ","), "nvidia") {
				return warn("the kernel's command line says %q", word).fix("take it from the boot loader's configuration").from(words.Source)
			}
		}
		return pass("%s", notable(lines.Value)).from(lines.Source)
	},
}

// hurts says what a line breaks and what to do about it.
func (f Facts) hurts(line host.ModProbe) (what, fix string) {
	switch {
	case line.Command == "install" && line.Module == "nvidia" && (strings.Contains(line.Rest, "false") || strings.Contains(line.Rest, "true")):
		return "install nvidia " + line.Rest + " keeps the module from being loaded", "delete the line"
	case line.Command == "blacklist" && (line.Module == "nvidia" || line.Module == "nvidia_uvm") && f.loaded() == "":
		return "blacklist " + line.Module + " keeps the module from being loaded for its device", "delete the line (prime-select writes it on laptops)"
	case line.Command == "options":
		return f.optionHurts(line)
	}
	return "", ""
}

// optionHurts says the same of an option.
func (f Facts) optionHurts(line host.ModProbe) (what, fix string) {
	switch {
	case strings.Contains(line.Rest, "NVreg_OpenRmEnableUnsupportedGpus=1") && f.loaded() == "":
		return "NVreg_OpenRmEnableUnsupportedGpus=1 makes the open module take GPUs that it does not support", "use the proprietary module for such GPUs, and delete the option"
	case strings.Contains(line.Rest, "NvLinkDisable=1") || strings.Contains(line.Rest, "NVreg_NvLinkDisable=1"):
		return "NvLinkDisable=1 switches NVLink off", "delete the option where the GPUs are to use NVLink, and reboot"
	}
	return "", ""
}

// notable names harmless settings that explain something.
func notable(lines []host.ModProbe) string {
	for _, line := range lines {
		for _, option := range []string{"uvm_disable_hmm=1", "NVreg_OpenRmEnableUnsupportedGpus=1"} {
			if strings.Contains(line.Rest, option) {
				return option + " is set in " + line.Path + ", which hurts nothing here"
			}
		}
	}
	return "none"
}
