package checks

import (
	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci/image"
)

// Disagreement says where an image's declaration and what certainly runs in it tell of different CUDA versions, else "".
// A base image's variables outlive what is installed over it: NGC images declare cuda>=9.0, whatever they hold.
func Disagreement(needs image.Requirements) string {
	sign, found := Facts{Launch: Launch{Needs: needs}}.decisiveSign()
	if !found || !sign.Certain {
		return ""
	}
	proven, err := cuda.ParseVersion(sign.Version)
	if err != nil {
		return ""
	}
	for _, d := range declaredCUDA(needs) {
		// jax, cupy and some builds of tensorflow tell only the major version.
		same := proven.Major == d.version.Major && (proven.Minor == 0 || proven.Minor == d.version.Minor)
		if !same {
			return "the image declares CUDA " + d.version.String() + " (" + d.by + "), but its " + sign.Kind + " was built for CUDA " +
				proven.String() + " (" + sign.Path + ")"
		}
	}
	return ""
}

// declaration is a CUDA version that an image declares.
type declaration struct {
	by      string
	version cuda.Version
}

func declaredCUDA(needs image.Requirements) (all []declaration) {
	for _, r := range needs.Requirements {
		if v, ok := loneCUDA(r); ok {
			all = append(all, declaration{r.Name, v})
		}
	}
	if v, err := cuda.ParseVersion(needs.CUDAVersion); err == nil {
		all = append(all, declaration{"CUDA_VERSION", v})
	}
	return all
}
