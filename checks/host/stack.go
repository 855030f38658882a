package host

import (
	"context"
	"encoding/json"

	"gpu-preflight/checks/fact"
)

// Stack is how the driver got onto this host and what lies around it. It is read for doctor and facts only, never at
// a launch (Options.Stack); a launch that fails reads Installed.
type Stack struct {
	Kernels       fact.Fact[[]Kernel]      `json:"kernels,omitzero"`         // below /lib/modules, oldest first
	DKMS          fact.Fact[[]DKMSTree]    `json:"dkms,omitzero"`            // /var/lib/dkms/nvidia*
	Installer     fact.Fact[Installer]     `json:"installer,omitzero"`       // what NVIDIA's .run file left
	SecureBoot    fact.Fact[bool]          `json:"secure_boot,omitzero"`     // the firmware's variable; false on a host without EFI
	SigEnforce    fact.Fact[bool]          `json:"sig_enforce,omitzero"`     // the kernel takes signed modules only
	CommandLine   fact.Fact[[]string]      `json:"command_line,omitzero"`    // words of the kernel's command line that concern the driver
	Modules       fact.Fact[[]string]      `json:"modules,omitzero"`         // loaded modules that concern the driver
	ModProbe      fact.Fact[[]ModProbe]    `json:"modprobe,omitzero"`        // lines of modprobe.d that concern the driver
	KernelLog     fact.Fact[[]string]      `json:"kernel_log,omitzero"`      // lines of this boot that concern the driver, the newest last
	Copies        fact.Fact[[]LibraryCopy] `json:"copies,omitzero"`          // libcuda where the loader looks besides the driver's folders
	Programs      fact.Fact[[]Program]     `json:"programs,omitzero"`        // programs of the driver, the toolkit and the engines
	Toolkits      fact.Fact[[]Toolkit]     `json:"toolkits,omitzero"`        // CUDA toolkits in /usr/local
	Packages      fact.Fact[[]Package]     `json:"packages,omitzero"`        // of the driver and around it, from the package tool's database
	Available     fact.Fact[[]Candidate]   `json:"available,omitzero"`       // what the local package lists offer
	ManagerLog    fact.Fact[[]string]      `json:"manager_log,omitzero"`     // Fabric Manager's and nvlsm's last lines of trouble
	ManagerAtBoot fact.Fact[bool]          `json:"manager_at_boot,omitzero"` // systemd starts Fabric Manager at boot; known where it has a unit
	CDI           fact.Fact[[]CDIFile]     `json:"cdi,omitzero"`             // CDI files of NVIDIA's
	ToolkitMode   fact.Fact[string]        `json:"toolkit_mode,omitzero"`    // mode of nvidia-container-runtime's configuration; empty: not set
	Unlinked      fact.Fact[[]string]      `json:"unlinked,omitzero"`        // NVIDIA nodes without their link in /dev/char
	Systemd       fact.Fact[bool]          `json:"systemd,omitzero"`         // systemd runs the host
	Image         fact.Fact[bool]          `json:"image,omitzero"`           // the system is one image (ostree)
}

// stackSlots are the facts that the reader child tells of the Stack.
func (s *Stack) stackSlots() slots {
	return slots{
		"kernels": &s.Kernels, "dkms": &s.DKMS, "installer": &s.Installer, "secure_boot": &s.SecureBoot,
		"sig_enforce": &s.SigEnforce, "command_line": &s.CommandLine, "modules": &s.Modules, "modprobe": &s.ModProbe,
		"kernel_log": &s.KernelLog, "copies": &s.Copies, "programs": &s.Programs, "toolkits": &s.Toolkits,
		"manager_log": &s.ManagerLog, "manager_at_boot": &s.ManagerAtBoot, "cdi": &s.CDI, "toolkit_mode": &s.ToolkitMode, "unlinked": &s.Unlinked,
		"systemd": &s.Systemd, "image": &s.Image,
	}
}

// stackArg tells the reader child to read the Stack in place of the rest.
const stackArg = "stack"

// readStack tells every fact of the Stack that is read from files.
func (t tree) readStack(e *Emitter) {
	emit := func(name string, value json.Marshaler) { e.Emit("", name, value) }
	relay(
		func() { emit("kernels", t.kernels()) },
		func() { emit("dkms", t.dkms()) },
		func() { emit("installer", t.installer()) },
		func() { emit("secure_boot", t.secureBoot()); emit("sig_enforce", t.sigEnforce()) },
		func() { emit("command_line", t.commandLine()); emit("modules", t.loadedModules()) },
		func() { emit("modprobe", t.modprobe()) },
		func() { emit("kernel_log", t.kernelLog()); emit("manager_log", t.managerLog()) },
		func() { emit("copies", t.copies()) },
		func() { emit("programs", t.programs()) },
		func() { emit("toolkits", t.toolkits()) },
		func() { emit("cdi", t.cdiFiles()); emit("toolkit_mode", t.toolkitMode()) },
		func() {
			emit("unlinked", t.unlinked())
			emit("systemd", t.isThere("/run/systemd/system"))
			emit("manager_at_boot", t.managerAtBoot())
		},
		func() { emit("image", t.isThere("/run/ostree-booted")) },
	)
}

// gatherStack reads the Stack: files in a child, and then packages by their tools.
func gatherStack(ctx context.Context, o Options, f *Facts) {
	limited, cancel := context.WithTimeout(ctx, o.NVMLTimeout)
	defer cancel()
	wanted := f.Stack.stackSlots()
	err := RunChild(limited, readerChild(o, stackArg), func(data []byte) {
		if line, ok := parseLine(data); ok {
			wanted.fold(line)
		}
	})
	wanted.rest(o.ended(err))
	readPacked(ctx, o, f)
	readPackages(ctx, o, f)
}
