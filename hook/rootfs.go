package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// RootfsCompat looks for compatibility libraries in a root file system, in a child: the image is the
// attacker's, and its file system may hang. What was not looked into is said in Why.
func RootfsCompat(ctx context.Context, rootfs string, env []string, runDir string) image.Compat {
	var lines [][]byte
	sum := sha256.Sum256([]byte(rootfs)) // one root file system that hangs must not hide the others
	child := host.Child{
		Path: "/proc/self/exe", Argv0: image.ChildName, Name: "rootfs-" + hex.EncodeToString(sum[:4]), RunDir: runDir,
		Args: append([]string{rootfs}, image.CompatFolders(env)...),
	}
	err := host.RunChild(ctx, child, func(line []byte) { lines = append(lines, append([]byte(nil), line...)) })
	compat := image.FoldCompat(lines)
	if err != nil && !compat.Read && compat.Why == "" {
		compat.Why = err.Error()
	}
	return compat
}
