package checks

import (
	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci/image"
)

// The CUDA that the image's software was built with, against what the driver gives: native, with limits (minor-version
// compatibility, 222), or not at all (35). What the interpreter that is started loads proves a need. What else lies in
// the image proves none, nor does CUDA_VERSION, which outlives what is installed over a base image: they warn. Only
// NVIDIA's own hook takes CUDA_VERSION as cuda>=X, on images without NVIDIA_REQUIRE_CUDA.
// https://docs.nvidia.com/deploy/cuda-compatibility/
var cudaDriverVersion = Check{
	ID:     "cuda-driver-version",
	Title:  "the driver runs the CUDA that the image brings",
	Layer:  Image,
	Why:    insufficient,
	CUDA:   []int{35, 222},
	Links:  []string{"https://docs.nvidia.com/deploy/cuda-compatibility/"},
	After:  []string{"driver-loaded", "cuda-requirement"},
	Launch: true,
	Run: func(f Facts) Result {
		declared := f.Launch.Needs.Declared
		sign, found := f.decisiveSign()
		unread := f.Launch.Needs.Unread
		switch {
		case !found && declared.CUDAVersion == "" && len(unread) == 0:
			return skip("the image does not tell its CUDA version")
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case declared.Legacy && declared.LegacyRequirement != nil && f.declaredMode():
			r := f.judgeRequirement(*declared.LegacyRequirement)
			r.Need = true
			return r.from(f.hostCUDA().Source)
		case !found && declared.CUDAVersion == "":
			return notRead(unread)
		case !found:
			sign = image.Evidence{Version: declared.CUDAVersion, Path: "CUDA_VERSION"}
		}
		r := f.judgeSign(sign)
		if r.Status == StatusPass && !sign.Certain && len(unread) > 0 {
			return notRead(unread) // which may tell more
		}
		return r
	},
}

// notRead is the answer where the image's files could not be read.
func notRead(unread []string) Result {
	more := ""
	if others := len(unread) - 1; others > 0 {
		more = result(StatusUnknown, " (and %d more)", others).What
	}
	return unknown("what the image brings could not be read: %s%s", Cut(unread[0], maxUnread), more)
}

// maxUnread bounds what is told of a file that could not be read, in bytes.
const maxUnread = 300

// judgeSign is what becomes of the software that a sign tells of.
func (f Facts) judgeSign(sign image.Evidence) Result {
	need, err := cuda.ParseVersion(sign.Version)
	if err != nil {
		return unknown("%s: %v", sign.Path, err)
	}
	what := "the image brings CUDA " + need.String() + " (" + sign.Path + ")"
	if sign.Framework() {
		what = "the image's " + sign.Kind + " was built for CUDA " + need.String() + " (" + sign.Path + ")"
	}
	r := f.byAnswer(need, what)
	r.Need, r.Proven = true, sign.Certain
	if r.Status == StatusFail && !sign.Certain {
		r.Status = StatusWarn
	}
	return r
}

// decisiveSign is the lowest need among the signs of the best kind that were found in the image's files: what is certain,
// else a framework, else a library. Stacks side by side are alternatives, and the image may use the lowest.
func (f Facts) decisiveSign() (decisive image.Evidence, found bool) {
	for _, e := range f.Launch.Needs.Evidence {
		switch {
		case e.Kind == image.KindEnv:
		case !found, weight(e) > weight(decisive), weight(e) == weight(decisive) && lower(e, decisive):
			decisive, found = e, true
		}
	}
	return decisive, found
}

func weight(e image.Evidence) int {
	switch {
	case e.Certain:
		return 2
	case e.Framework():
		return 1
	}
	return 0
}

// lower compares two needs; one that cannot be read is not lower.
func lower(a, b image.Evidence) bool {
	x, errA := cuda.ParseVersion(a.Version)
	y, errB := cuda.ParseVersion(b.Version)
	return errA == nil && (errB != nil || x.Less(y))
}
