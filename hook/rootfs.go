package hook

import (
	"context"
	"encoding/json"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// LookIntoRootfs looks for compatibility libraries and for what the software was built with in a root file system, in a
// child: the image is the attacker's, and its file system may hang. What was not looked into is said in Compat.Why.
func LookIntoRootfs(ctx context.Context, rootfs string, p image.Program, runDir string) image.Look {
	program, err := json.Marshal(p)
	if err != nil {
		return image.Look{Compat: image.Compat{Why: err.Error()}}
	}
	var lines [][]byte
	child := host.Child{
		Path: "/proc/self/exe", Argv0: image.ChildName, RunDir: runDir,
		Name: "rootfs-" + shortName(rootfs), // one root file system that hangs must not hide the others
		Args: []string{rootfs, string(program)},
	}
	err = host.RunChild(ctx, child, func(line []byte) { lines = append(lines, append([]byte(nil), line...)) })
	look := image.FoldLook(lines)
	if err != nil && !look.Compat.Read && look.Compat.Why == "" {
		look.Compat.Why = err.Error()
	}
	return look
}
