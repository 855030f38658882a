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
	// Small ones: what is new is minimized, and a whole host takes its minute.
	f.Add([]byte(`{"nvml":{"cuda":{"value":"12.2","source":"x"},"driver":{"value":"535.183.06","source":"x"},"gpus":[{"bus":"x","brand":{"value":"GeForce","source":"x"}}]}}`), "NVIDIA_REQUIRE_CUDA=cuda>=13.0", "13.0", "/x")
	f.Add([]byte(`{"driver":{"version":{"value":"470.82.01","source":"x"}}}`), "CUDA_VERSION=12.8", "12", "is a directory")
	f.Add([]byte(`{}`), "CUDA_VERSION=12.8", "12", "Permission\ndenied")
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
