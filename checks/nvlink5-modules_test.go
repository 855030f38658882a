package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestNvlink5Modules(t *testing.T) {
	testCheck(t, nvlink5Modules, []row{
		{"another board", nil, "skip", "no HGX B200"},
		{"healthy", hgxB200, "pass", "are loaded"},
		{"missing", and(hgxB200, stack(func(s *host.Stack) { s.Modules = known([]string{"nvidia"}) })), "warn", "mlx5_ib, ib_umad|modprobe ib_umad"},
		{"missing, offered", and(hgxB200, stack(func(s *host.Stack) { s.Modules = known([]string{"nvidia"}) }), offer("linux-modules-extra-6.8.0-52-generic", "6.8.0-52.53")), "warn", "apt-get install linux-modules-extra-6.8.0-52-generic"},
		{"unread", and(hgxB200, stack(func(s *host.Stack) { s.Modules = missing[[]string]() })), "unknown", "time-out"},
	})
}
