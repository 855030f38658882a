package host

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

const (
	pciDevices = "/sys/bus/pci/devices"
	nvidiaID   = "0x10de"
)

// pciClasses are the classes that matter: display controllers that the driver can serve (VGA 0300, 3D 0302) and
// NVSwitches (bridge, other: 0680). NVSwitches are known by class, since their ids are not all published.
var pciClasses = []string{"0300", "0302", "0680"}

// pci lists NVIDIA's functions on the PCI bus, ordered by bus. A host without PCI is a known empty list where
// /sys/bus is there.
func (t tree) pci() fact.Fact[[]PCIDevice] {
	names, err := t.names(pciDevices)
	if absent(err) {
		if bus := t.isThere("/sys/bus"); bus.Known() && bus.Value {
			return fact.Of([]PCIDevice{}, pciDevices)
		}
		return fact.Missing[[]PCIDevice](pciDevices, "/sys/bus is not there")
	}
	if err != nil {
		return fact.Missing[[]PCIDevice](pciDevices, reason(err))
	}
	devices := []PCIDevice{}
	for _, name := range names {
		device, ok, err := t.pciDevice(name)
		if err != nil {
			return fact.Missing[[]PCIDevice](pciDevices+"/"+name, reason(err))
		}
		if ok {
			devices = append(devices, device)
		}
	}
	slices.SortFunc(devices, func(a, b PCIDevice) int { return strings.Compare(a.Bus, b.Bus) })
	return fact.Of(devices, pciDevices)
}

// pciDevice reads one function; ok is false for what is not NVIDIA's, of another class, or gone meanwhile.
func (t tree) pciDevice(name string) (d PCIDevice, ok bool, err error) {
	dir := pciDevices + "/" + name
	bus, valid := normalBus(name)
	vendor, err := t.text(dir + "/vendor")
	if !valid || absent(err) {
		return d, false, nil
	}
	if err != nil || vendor != nvidiaID {
		return d, false, err
	}
	class, err := t.text(dir + "/class")
	if err != nil {
		return d, false, err
	}
	class = strings.TrimPrefix(class, "0x")
	if len(class) != 6 || !slices.Contains(pciClasses, class[:4]) {
		return d, false, nil
	}
	id, err := t.text(dir + "/device")
	if err != nil {
		return d, false, err
	}
	d = PCIDevice{Bus: bus, Device: strings.TrimPrefix(id, "0x"), Class: class[:4]}
	_, err = t.readlink(dir + "/physfn")
	d.Virtual = err == nil
	if d.Driver, err = t.pciDriver(dir); err == nil {
		d.OffBus, err = t.offBus(dir + "/config")
	}
	return d, err == nil, err
}

// pciDriver is the name of the driver that a function is bound to, empty for none.
func (t tree) pciDriver(dir string) (string, error) {
	link, err := t.readlink(dir + "/driver")
	if absent(err) {
		return "", nil
	}
	return path.Base(link), err
}

// offBus tells whether the device no longer answers: its configuration reads as all ones (PCI Express base
// specification: what no device completes). An absent config file proves nothing.
func (t tree) offBus(path string) (bool, error) {
	fd, _, err := t.openRegular(path)
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	var id [4]byte
	n, err := readRetry(fd, id[:])
	return err == nil && n == 4 && id == [4]byte{0xff, 0xff, 0xff, 0xff}, err
}

// switches counts the NVSwitches that the driver holds: functions of class 0680 bound to nvidia-nvswitch, or the
// driver's own list, whichever shows more. It is unknown only when neither could be read.
func (t tree) switches(pci fact.Fact[[]PCIDevice]) fact.Fact[int] {
	const path = "/proc/driver/nvidia-nvswitch/devices"
	bound := 0
	for _, device := range pci.Value {
		if device.Class == "0680" && device.Driver == "nvidia-nvswitch" {
			bound++
		}
	}
	names, err := t.names(path)
	switch {
	case err == nil && len(names) > bound:
		return fact.Of(len(names), path)
	case pci.Known():
		return fact.Of(bound, pciDevices)
	case err == nil && len(names) > 0:
		return fact.Of(len(names), path)
	default:
		return fact.Missing[int](pciDevices, pci.Why())
	}
}
