package explain

import (
	"fmt"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
)

// Words are the words that Text knows: checks, the names of CUDA's and NVML's errors, Xids, and the keys of messages.
func Words() []string {
	var list []string
	for _, c := range checks.All() {
		list = append(list, c.ID)
	}
	for _, r := range cuda.Errors() {
		if r.Driver != "" {
			list = append(list, r.Driver)
		}
		list = append(list, r.Runtime)
	}
	for _, r := range nvmlRows() {
		list = append(list, r.name)
	}
	for _, r := range entryRows() {
		if _, _, numbered := numberOf(r.key); !numbered {
			list = append(list, r.key)
		}
	}
	for _, r := range xidRows() {
		list = append(list, fmt.Sprintf("xid-%d", r.number))
	}
	return list
}
