package image

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"gpu-preflight/oci"
)

// The argv[0] by which a program of ours becomes the reader of a root file system: of what was installed in it, or of the
// environment that it carries. A root file system can hang in the kernel (FUSE, lazily pulled, NFS), and hangs only this
// child.
const (
	ChildName   = "gpu-preflight-rootfs"
	CarriedName = "gpu-preflight-environment"
)

// ChildMain is the child: argv is ChildName, the path of the root file system, and a Program as JSON. It closes every
// descriptor but the standard ones first, and prints one JSON line for each folder with compatibility libraries, a last
// one of these, and one with what it found; FoldLook reads them. handled is false when argv is not the child's, and the
// program goes on as itself.
func ChildMain(argv []string) (code int, handled bool) {
	if len(argv) == 0 || argv[0] != ChildName {
		return 0, false
	}
	closeInherited()
	var p Program
	if len(argv) != 3 || json.Unmarshal([]byte(argv[2]), &p) != nil {
		return 2, true
	}
	out := json.NewEncoder(os.Stdout)
	root, err := oci.OpenRootfs(argv[1])
	if err != nil {
		_ = out.Encode(lookLine{compatLine: compatLine{Error: err.Error()}})
		return 1, true
	}
	defer func() { _ = root.Close() }()
	readCompat(root, p, func(line compatLine) error { return out.Encode(lookLine{compatLine: line}) })
	found := FindEvidence(root, p)
	_ = out.Encode(lookLine{Found: &found})
	return 0, true
}

// closeInherited closes all but the standard descriptors. Before Linux 5.9 there is no close_range; the parent opens everything
// close-on-exec.
func closeInherited() { _ = unix.CloseRange(3, math.MaxUint32, 0) }

// carriedLine is what the child prints of an environment.
type carriedLine struct {
	Carried *Carried `json:"carried,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// CarriedMain is the child for the environment: argv is CarriedName and the path of the root file system. It prints one JSON
// line for FoldCarried. handled is false when argv is not the child's. Only the command line has this child.
func CarriedMain(argv []string) (code int, handled bool) {
	if len(argv) == 0 || argv[0] != CarriedName {
		return 0, false
	}
	closeInherited()
	if len(argv) != 2 {
		return 2, true
	}
	var line carriedLine
	root, err := oci.OpenRootfs(argv[1])
	if err == nil {
		carried := CarriedBy(root)
		line.Carried = &carried
		_ = root.Close()
	} else {
		line.Error, code = err.Error(), 1
	}
	_ = json.NewEncoder(os.Stdout).Encode(line)
	return code, true
}

// FoldCarried is the environment that the child printed, with how it ended.
func FoldCarried(lines [][]byte, end error) (Carried, error) {
	var line carriedLine
	for _, text := range lines {
		if err := json.Unmarshal(text, &line); err != nil {
			return Carried{}, fmt.Errorf("unreadable line %.60q", text)
		}
	}
	switch {
	case line.Carried != nil:
		return *line.Carried, nil
	case line.Error != "":
		return Carried{}, errors.New(line.Error)
	}
	return Carried{}, cmp.Or(end, errors.New("no answer"))
}
