package checks

import (
	"fmt"
	"strings"
)

// What the machine itself sees, before any driver: lspci's answer. A device that is bound to another driver than
// NVIDIA's cannot be used by CUDA, whatever is installed.
var gpuOnPCI = Check{
	ID:     "gpu-on-pci",
	Title:  "the machine sees its GPUs on the PCI bus",
	Layer:  Hardware,
	Why:    "CUDA sees only GPUs that the NVIDIA driver holds",
	CUDA:   []int{100},
	Links:  []string{"https://docs.kernel.org/PCI/sysfs-pci.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		pci := f.Host.PCI
		if !pci.Known() {
			return unknown("%s", pci.Why())
		}
		count, switches, drivers, free := 0, 0, map[string]int{}, []string{}
		for _, p := range pci.Value {
			if p.Virtual {
				continue
			}
			if strings.HasPrefix(p.Class, "0680") {
				switches++
				continue
			}
			count++
			drivers[p.Driver]++
			if p.Driver == "" {
				free = append(free, p.Bus)
			}
		}
		switch {
		case count+switches == 0:
			return skip("no GPU of NVIDIA's on the PCI bus")
		case len(free) > 0 && drivers["nvidia"] > 0:
			return warn("no driver holds %d of %d GPUs on the PCI bus: %s", len(free), count, few(free)).
				fix("read what the kernel says about them: dmesg | grep -e NVRM -e nvidia").from(pci.Source)
		}
		return pass("%s", onPCI(count, switches, drivers)).from(pci.Source)
	},
}

func onPCI(count, switches int, drivers map[string]int) string {
	seen := counted(count, "GPU")
	if switches > 0 {
		seen += " and " + counted(switches, "NVSwitch")
	}
	words := []string{seen + " on the PCI bus"}
	for _, name := range []string{"nvidia", "nouveau", "nova", "vfio-pci", ""} {
		if n := drivers[name]; n > 0 && name == "" {
			words = append(words, fmt.Sprintf("%d held by no driver", n))
		} else if n > 0 {
			words = append(words, fmt.Sprintf("%d held by %s", n, name))
		}
	}
	return strings.Join(words, ", ")
}

// counted is a number with its noun: 1 GPU, 2 GPUs, 4 NVSwitches.
func counted(n int, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "ch"):
		noun += "es"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
