package host

import (
	"fmt"

	"gpu-preflight/checks/fact"
)

// unlinked lists the NVIDIA nodes that have no link /dev/char/MAJOR:MINOR. runc resolves nodes through those links
// when systemd sets the device rules; without them systemctl daemon-reload takes the GPUs from running containers
// (NVIDIA/nvidia-container-toolkit#48; nvidia-ctk system create-dev-char-symlinks makes them).
func (t tree) unlinked() fact.Fact[[]string] {
	nodes := t.nodes()
	if !nodes.Known() {
		return fact.Missing[[]string]("/dev", nodes.Why())
	}
	found := []string{}
	for _, node := range nodes.Value {
		link := fmt.Sprintf("/dev/char/%d:%d", node.Major, node.Minor)
		there, err := t.exists(link)
		if err != nil {
			return fact.Missing[[]string](link, reason(err))
		}
		if !there && node.Path != "/dev/dxg" {
			found = append(found, node.Path)
		}
	}
	return fact.Of(found, "/dev/char")
}
