package checks

import (
	"slices"
	"strings"
)

// Under Secure Boot the kernel takes only modules that are signed by a key it trusts. A DKMS module is signed by a
// machine owner key that has to be enrolled in the firmware at one reboot.
// https://wiki.debian.org/SecureBoot, Documentation/admin-guide/module-signing.rst
var secureBoot = Check{
	ID:     "secure-boot",
	Title:  "the kernel accepts the driver's module",
	Layer:  Kernel,
	Why:    "the kernel refuses the module (\"Key was rejected by service\"), and CUDA finds no device",
	CUDA:   []int{100},
	Links:  []string{"https://docs.kernel.org/admin-guide/module-signing.html", "https://wiki.debian.org/SecureBoot"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		boot, enforce, log := f.Host.Stack.SecureBoot, f.Host.Stack.SigEnforce, f.Host.Stack.KernelLog
		rejected := lineWith(log.Value, "Key was rejected", "unavailable key is rejected", "module verification failed", "Lockdown: modprobe")
		strict := boot.Value || enforce.Value || strings.Contains(lineWith(log.Value, "locked down from EFI Secure Boot"), "locked down")
		enroll := []string{
			"enrol the key that signs the module and confirm it at the next boot: mokutil --import /var/lib/dkms/mok.pub (Ubuntu: /var/lib/shim-signed/mok/MOK.der), reboot",
			"or use a module that the distribution signs (Ubuntu: linux-modules-nvidia-*), or switch Secure Boot off",
		}
		switch {
		case f.loaded() != "":
			if boot.Known() && boot.Value {
				return pass("Secure Boot is on, and the module is loaded").from(boot.Source)
			}
			return pass("the module is loaded").from(f.Host.Driver.Version.Source)
		case rejected != "" && !strings.Contains(rejected, "module verification failed") && f.surelyNotLoaded():
			return fail("the kernel rejected a module: %q", rejected).fix(enroll...).from(log.Source)
		case rejected != "" && !strings.Contains(rejected, "module verification failed"):
			return warn("the kernel rejected a module: %q", rejected).fix(enroll...).from(log.Source)
		case strict && f.surelyNotLoaded():
			return warn("the kernel takes signed modules only, and the driver's is not loaded: its key may not be enrolled").
				fix("mokutil --test-key /var/lib/dkms/mok.pub tells whether the key is enrolled").fix(enroll...).from(boot.Source, enforce.Source)
		case strict:
			return pass("the kernel takes signed modules only").from(boot.Source, enforce.Source)
		case !boot.Known() && !enforce.Known():
			return unknown("%s", boot.Why())
		}
		return pass("the kernel takes unsigned modules").from(boot.Source, enforce.Source)
	},
}

// lineWith is the newest line that holds one of the parts.
func lineWith(lines []string, parts ...string) string {
	for _, line := range slices.Backward(lines) {
		for _, part := range parts {
			if strings.Contains(line, part) {
				return line
			}
		}
	}
	return ""
}
