package image

import (
	"encoding/json"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"gpu-preflight/oci"
)

// ChildName is the argv[0] by which a program of ours becomes the reader of a root file system. A root file
// system can hang in the kernel (FUSE, lazily pulled, NFS), and hangs only this child.
const ChildName = "gpu-preflight-rootfs"

// ChildMain is the child: argv is ChildName, the path of the root file system, and a Program as JSON. It closes every
// descriptor but the standard ones first, and prints one JSON line for each folder with compatibility libraries, a last
// one of these, and one with what it found; FoldLook reads them. handled is false when argv is not the child's, and the
// program goes on as itself.
func ChildMain(argv []string) (code int, handled bool) {
	if len(argv) == 0 || argv[0] != ChildName {
		return 0, false
	}
	// Before Linux 5.9 there is no close_range; the parent opens everything close-on-exec.
	_ = unix.CloseRange(3, math.MaxUint32, 0)
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
	readCompat(root, CompatFolders(p.Env), func(line compatLine) error { return out.Encode(lookLine{compatLine: line}) })
	found := FindEvidence(root, p)
	_ = out.Encode(lookLine{Found: &found})
	return 0, true
}
