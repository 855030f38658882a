package hook

import (
	"context"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// RootfsCompat looks for compatibility libraries in a root file system, in a child: the image is the
// attacker's, and its file system may hang. What was not looked into is said in Why.
func RootfsCompat(ctx context.Context, rootfs string, env []string, runDir string) image.Compat {
	var lines [][]byte
	child := host.Child{
		Path: "/proc/self/exe", Argv0: image.ChildName, RunDir: runDir,
		Name: "rootfs-" + shortName(rootfs), // one root file system that hangs must not hide the others
		Args: append([]string{rootfs}, image.CompatFolders(env)...),
	}
	err := host.RunChild(ctx, child, func(line []byte) { lines = append(lines, append([]byte(nil), line...)) })
	compat := image.FoldCompat(lines)
	if err != nil && !compat.Read && compat.Why == "" {
		compat.Why = err.Error()
	}
	return compat
}
