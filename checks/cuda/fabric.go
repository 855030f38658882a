package cuda

import (
	"strconv"
	"strings"
	"sync"
)

// FabricRow is a kind of system whose GPUs are joined by NVLink switches.
// https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/
type FabricRow struct {
	Generation string // "1" to "4", "NVL72"
	Systems    string
	OnNode     bool // Fabric Manager runs beside the GPUs; else in the switch trays, and nvidia-imex on the node
	MinBranch  int  // the lowest driver branch; 0: not known
	Provenance
	switches []idRange
}

// GPURow is a GPU that may sit on a board with switches, or is easily taken for one.
type GPURow struct {
	Name       string
	Generation string // of the switches that its boards may carry; empty: none
	Provenance
	id uint16
}

type idRange struct{ first, last uint16 }

var fabrics = sync.OnceValue(func() []FabricRow {
	return parse(fabricTSV, func(r *row) FabricRow {
		f := FabricRow{Generation: r.text(), Systems: r.text(), OnNode: r.onNode(), MinBranch: r.int(), switches: r.ids()}
		f.Provenance = r.provenance()
		return f
	})
})

var gpus = sync.OnceValue(func() []GPURow {
	return parse(gpusTSV, func(r *row) GPURow {
		g := GPURow{id: r.id(r.text()), Name: r.text(), Generation: r.text()}
		g.Provenance = r.provenance()
		return g
	})
})

// onNode is the next field, "node" or "tray".
func (r *row) onNode() bool {
	where := r.text()
	r.bad = r.bad || where != "node" && where != "tray"
	return where == "node"
}

// ids is the next field as PCI device ids and ranges of them.
func (r *row) ids() []idRange {
	var out []idRange
	for s := range strings.FieldsSeq(r.text()) {
		first, last, ranged := strings.Cut(s, "-")
		if !ranged {
			last = first
		}
		out = append(out, idRange{r.id(first), r.id(last)})
	}
	return out
}

// id reads a PCI device id of four hexadecimal digits.
func (r *row) id(s string) uint16 {
	n, err := strconv.ParseUint(s, 16, 16)
	r.bad = r.bad || err != nil || len(s) != 4
	return uint16(n)
}

// FabricGeneration is the system that an NVSwitch of this PCI device id (vendor 10de) belongs to. ok is false
// for an unknown id, which proves nothing: the class 0680 and the driver nvidia-nvswitch tell a switch.
// Generation 4 has none on PCI.
func FabricGeneration(switchID uint16) (row FabricRow, ok bool) {
	return find(fabrics(), func(f FabricRow) bool {
		_, in := find(f.switches, func(r idRange) bool { return r.first <= switchID && switchID <= r.last })
		return in
	})
}

// FabricSystem is the row of a generation, as GPURow names it.
func FabricSystem(generation string) (row FabricRow, ok bool) {
	return find(fabrics(), func(f FabricRow) bool { return f.Generation == generation })
}

// FabricGPU is the GPU of this PCI device id (vendor 10de). The same GPU is sold on boards without switches:
// its generation never proves that Fabric Manager is needed. ok is false for an id that is not in the table.
func FabricGPU(gpuID uint16) (row GPURow, ok bool) {
	return find(gpus(), func(g GPURow) bool { return g.id == gpuID })
}
