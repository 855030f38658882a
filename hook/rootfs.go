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
	return image.FoldLook(readRootfs(ctx, rootfs, runDir, image.ChildName, string(program)))
}

// Carried reads the environment that an unpacked image carries, in such a child.
func Carried(ctx context.Context, rootfs, runDir string) (image.Carried, error) {
	return image.FoldCarried(readRootfs(ctx, rootfs, runDir, image.CarriedName))
}

// readRootfs runs a reader of a root file system and returns its lines, and how it ended.
func readRootfs(ctx context.Context, rootfs, runDir, argv0 string, more ...string) (lines [][]byte, end error) {
	child := host.Child{
		Path: "/proc/self/exe", Argv0: argv0, RunDir: runDir,
		Name: "rootfs-" + shortName(rootfs), // one root file system that hangs must not hide the others
		Args: append([]string{rootfs}, more...),
	}
	end = host.RunChild(ctx, child, func(line []byte) { lines = append(lines, append([]byte(nil), line...)) })
	return lines, end
}
