package host

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

// nodes lists NVIDIA's device nodes below /dev, and /dev/dxg. Below a foreign top (--root) alone, a regular file
// that says "c 195 0" stands for a node, so that a host can be written down where mknod is not allowed.
func (t tree) nodes() fact.Fact[[]Node] {
	found := []Node{}
	for _, dir := range []string{"/dev", "/dev/nvidia-caps", "/dev/nvidia-caps-imex-channels"} {
		names, err := t.names(dir)
		if absent(err) && dir != "/dev" {
			continue
		}
		if err != nil {
			return fact.Missing[[]Node](dir, reason(err))
		}
		for _, name := range names {
			if dir == "/dev" && name != "dxg" && !strings.HasPrefix(name, "nvidia") {
				continue
			}
			node, ok, err := t.node(dir + "/" + name)
			if err != nil {
				return fact.Missing[[]Node](dir+"/"+name, reason(err))
			}
			if ok {
				found = append(found, node)
			}
		}
	}
	slices.SortFunc(found, func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
	return fact.Of(found, "/dev")
}

// node describes the character device at path; ok is false for anything else.
func (t tree) node(path string) (node Node, ok bool, err error) {
	stat, err := t.stat(path)
	if absent(err) {
		return node, false, nil
	}
	if err != nil {
		return node, false, err
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		return Node{Path: path, Major: int(unix.Major(stat.Rdev)), Minor: int(unix.Minor(stat.Rdev))}, true, nil
	case unix.S_IFREG:
		if t.top == "" {
			return node, false, nil
		}
		text, err := t.text(path)
		if err != nil {
			return node, false, err
		}
		node.Path = path
		_, err = fmt.Sscanf(text, "c %d %d", &node.Major, &node.Minor)
		return node, err == nil, nil
	default:
		return node, false, nil
	}
}
