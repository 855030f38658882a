package hook

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// FuzzJudge: whatever facts and environment say, the judgement ends, and the message is fit for every engine.
func FuzzJudge(f *testing.F) {
	for _, spec := range []string{"driver=535.183.06,arch=8.9,brand=GeForce,gpus=2", "driver=580.95.05,arch=9.0,brand=Tesla", "driver=470.82.01,gpus=0"} {
		facts, err := host.Assume(spec)
		if err != nil {
			f.Fatal(err)
		}
		text, err := json.Marshal(facts)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "NVIDIA_REQUIRE_CUDA=cuda>=13.0", "13.0", "/x/torch/version.py")
	}
	f.Add([]byte(`{}`), "CUDA_VERSION=12.8", "12", "permission denied")
	f.Fuzz(func(t *testing.T, data []byte, env, version, path string) {
		var facts host.Facts
		if json.Unmarshal(data, &facts) != nil {
			return
		}
		launch := launchOf(strings.Split(env, "\n")...)
		launch.Needs = launch.Needs.With(image.Look{Found: image.Found{
			Evidence: []image.Evidence{{Kind: "torch", Version: version, Path: path, Certain: true, Stack: path}}, Unread: []string{path},
		}})
		for _, judged := range []Verdict{Judge(facts, launch, DefaultPolicy()), JudgeHost(facts, DefaultPolicy())} {
			message := Message(judged)
			if len(message) > maxMessage || strings.ContainsFunc(message, func(c rune) bool { return c > unicode.MaxASCII || unicode.IsControl(c) }) {
				t.Errorf("%d bytes: %q", len(message), message)
			}
			for _, words := range dockerWords {
				if strings.Contains(strings.ToLower(message), words.says) {
					t.Errorf("%q in %q", words.says, message)
				}
			}
		}
	})
}
