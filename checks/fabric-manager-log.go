package checks

import "strings"

// Fabric Manager and nvlsm say in their own logs why they do not start. What they said counts while the fabric is not
// up.
var fabricManagerLog = Check{
	ID:     "fabric-manager-log",
	Title:  "Fabric Manager's log tells no trouble",
	Layer:  FabricSys,
	Why:    "the fabric is not set up, and CUDA fails with 802",
	CUDA:   []int{802},
	Links:  []string{"https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		log := f.Host.Stack.ManagerLog
		kind, why := f.fabric()
		switch {
		case !log.Known():
			return unknown("%s", log.Why())
		case len(log.Value) == 0:
			return pass("no line of trouble, or no log").from(log.Source)
		case kind != fabricManaged && kind != fabricRegister && kind != fabricTray:
			return pass("its lines do not matter here: %s", why).from(log.Source)
		}
		for _, known := range managerLines {
			if line := lineWith(log.Value, known.part); line != "" {
				return warn("%s: %q", known.means, strings.TrimSpace(line)).fix(known.fix).from(log.Source)
			}
		}
		return warn("it tells of trouble: %q", log.Value[len(log.Value)-1]).fix("read " + log.Source).from(log.Source)
	},
}

// managerLines are the daemons' own words and what they mean (Fabric Manager user guide; gpu-operator#544,
// siderolabs/extensions#720).
var managerLines = []struct{ part, means, fix string }{
	{"don't match with driver version", "Fabric Manager has another version than the driver", "install Fabric Manager of the driver's very version and start it"},
	{"is ib_umad module loaded", "nvlsm finds no InfiniBand management device", "load ib_umad and mlx5_ib (Ubuntu: linux-modules-extra-$(uname -r)) and start Fabric Manager again"},
	{"error while loading shared libraries", "Fabric Manager lacks a library", "install the library that the line names"},
	{"found NVSwitch LPF", "several management ports were found, and the wrong one may have been taken", "set the management port of the NVSwitches in Fabric Manager's start script"},
	{"No matching network interface found", "IMEX's node list holds no address of this host", "write this host's address into /etc/nvidia-imex/nodes_config.cfg"},
	{"NV_WARN_NOTHING_TO_DO", "Fabric Manager finds no NVSwitch", "look whether the NVSwitches are on the PCI bus and bound to nvidia-nvswitch"},
}
