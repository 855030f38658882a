package hook

import (
	"context"
	"encoding/json"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// LookIntoRootfs looks for compatibility libraries and for what the software was built with in a root file system, in a
// child: the image is the attacker's, and its file system may hang. What was not looked into is said in Compat.Why and in Unread.
func LookIntoRootfs(ctx context.Context, rootfs string, p image.Program, runDir string) image.Look {
	program, err := json.Marshal(p)
	if err != nil {
		return image.FoldLook(nil, err)
	}
	var lines [][]byte
	child := host.Child{
		Path: "/proc/self/exe", Argv0: image.ChildName, RunDir: runDir,
		Name: "rootfs-" + shortName(rootfs), // one root file system that hangs must not hide the others
		Args: []string{rootfs, string(program)},
	}
	err = host.RunChild(ctx, child, func(line []byte) { lines = append(lines, append([]byte(nil), line...)) })
	return image.FoldLook(lines, err)
}
