package checks

// The kernel's log says why the driver does not serve a GPU. Lines of the past stay in it: they count only while
// something is wrong.
var kernelLog = Check{
	ID:     "kernel-log",
	Title:  "the kernel's log tells no trouble of the driver",
	Layer:  Kernel,
	Why:    "the driver does not serve the GPU that the line is about",
	CUDA:   []int{100},
	Links:  []string{"https://docs.nvidia.com/deploy/xid-errors/index.html", "https://github.com/NVIDIA/open-gpu-kernel-modules"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		log := f.Host.Stack.KernelLog
		switch {
		case !f.hasHardware():
			return skip("no GPU of NVIDIA's on this host")
		case f.answering():
			return pass("the GPUs answer; what the log says is past").from(log.Source)
		case !log.Known():
			return unknown("%s", log.Why())
		}
		for _, known := range kernelLines {
			if line := lineWith(log.Value, known.part); line != "" {
				return warn("%s: %q", known.means, line).fix(known.fix).from(log.Source)
			}
		}
		return pass("nothing that says why").from(log.Source)
	},
}

// kernelLines are the driver's own lines, the ones that name a cause before those that follow from one. What
// RmInitAdapter's numbers mean NVIDIA does not publish: such a line proves no cause.
// https://github.com/NVIDIA/open-gpu-kernel-modules (osapi.c, nv.c, nv-pci.c)
var kernelLines = []struct{ part, means, fix string }{
	{"does not include the required GPU", "the open module does not serve this GPU, which is older than Turing", "install the proprietary module of the same version"},
	{"is not supported by open", "the open module does not serve this GPU, which is older than Turing", "install the proprietary module of the same version"},
	{"not supported by open", "the open module does not serve this GPU, which is older than Turing", "install the proprietary module of the same version"},
	{"requires use of the NVIDIA open kernel modules", "this GPU needs the open module", "install the open module of the same version"},
	{"Legacy drivers", "the installed branch no longer serves this GPU", "install the legacy branch that the line names"},
	{"will ignore", "the installed branch does not serve this GPU", "install a branch that does"},
	{"API mismatch", "module and libraries have different versions", "reboot, or unload and load the modules"},
	{"Direct firmware load for nvidia", "the GPU's firmware of the loaded module's version is not on disk", "bring module and firmware to one version and reboot"},
	{"fallen off the bus", "a GPU fell off the PCI bus", "shut down, look at power, cooling and seat of the card, and start again"},
	{"was loaded and obtained ownership", "another kernel driver held the GPUs when the module was loaded", "keep nouveau and others from loading (blacklist, rd.driver.blacklist) and reboot"},
	{"probe routine was not called", "another kernel driver held the GPUs when the module was loaded", "keep nouveau and others from loading (blacklist, rd.driver.blacklist) and reboot"},
	{"Key was rejected", "the kernel rejected the module's signature", "enrol the key that signs it"},
	{"No NVIDIA GPU found", "the module found no GPU that it serves", "install a branch and a module that serve this GPU"},
	{"No NVIDIA graphics adapter probed", "the module found no GPU that it could take", "look which driver holds the GPU: lspci -k"},
	{"Surprise Down", "the PCI link of a device went down", "shut down, look at power, cooling and seat of the card, and start again"},
	{"Cannot attach gpu", "the driver could not attach a GPU", "shut down and start again; then look at the card"},
	{"RmInitAdapter failed", "a GPU could not be initialised; the numbers of the line prove no cause", "try the other module flavour and another branch; switch Above 4G Decoding and Resizable BAR on in the firmware; then look at the card"},
	{"Xid", "the driver reported an error of a GPU", "look the Xid up in NVIDIA's list"},
	{"Version mismatch, kernel version", "a client of the NVSwitch driver has another version than the module", "bring Fabric Manager to the driver's version"},
}
