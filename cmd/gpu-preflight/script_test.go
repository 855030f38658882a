package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gpu-preflight/checks/host"
	"gpu-preflight/testdata/fixture"
)

// TestMain lets the test binary be the program, and the children that the program starts from itself.
func TestMain(m *testing.M) {
	if code, handled := childMain(os.Args); handled {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){
		"gpu-preflight": func() {
			os.Exit(run(context.Background(), storyArguments(os.Args), os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// storyArguments puts the story's policy before what the story says, so that the policy of the machine that runs
// the tests is never read.
func storyArguments(args []string) []string {
	if config := os.Getenv("STORY_CONFIG"); config != "" {
		return slices.Insert(slices.Clone(args), 1, "--config", config)
	}
	return args
}

// TestStories plays testdata/cases. With UPDATE_STORIES the output that stories compare is written into them.
func TestStories(t *testing.T) {
	programs := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", programs, "./cmd/gpu-preflight", "./cmd/gpu-preflight-hook")
	build.Dir = fixture.Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(fixture.Root(), "testdata", "cases"),
		UpdateScripts:       os.Getenv("UPDATE_STORIES") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"facts": factsFile, "timeline": timelineFile, "exits": exits, "libcuda": libcudaFile},
		Setup: func(env *testscript.Env) error {
			config := filepath.Join(env.WorkDir, ".config.toml")
			env.Setenv("STORY_CONFIG", config)
			env.Setenv("BUILT", filepath.Join(programs, "gpu-preflight"))
			env.Setenv("HOOK", filepath.Join(programs, "gpu-preflight-hook"))
			return os.WriteFile(config, nil, 0o600)
		},
	})
}

// exits is the command "exits CODE PROGRAM ARG...": exec with the exit code that it has to end with.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG ...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// factsFile is the command "facts FILE SPEC [PLACE=JSON ...]": the facts of --assume SPEC with some of them
// changed. PLACE is a dotted key of the facts; each.KEY is a key of every GPU, gpu0.KEY of one. JSON is the value,
// ? an unknown fact.
func factsFile(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: facts FILE SPEC [PLACE=JSON ...]")
	}
	facts, err := host.Assume(args[1])
	ts.Check(err)
	text, err := json.Marshal(facts)
	ts.Check(err)
	var tree map[string]any
	ts.Check(json.Unmarshal(text, &tree))
	for _, change := range args[2:] {
		place, value, _ := strings.Cut(change, "=")
		for _, target := range targets(tree, place) {
			ts.Check(put(target.at, target.key, value))
		}
	}
	text, err = json.MarshalIndent(tree, "", " ")
	ts.Check(err)
	// Reading it back through the type finds a misspelt place, which would be left alone.
	var back host.Facts
	ts.Check(json.Unmarshal(text, &back))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

type target struct {
	at  map[string]any
	key string
}

// targets finds the objects in which a place lies.
func targets(tree map[string]any, place string) []target {
	first, rest, _ := strings.Cut(place, ".")
	nvml, _ := tree["nvml"].(map[string]any)
	gpus, _ := nvml["gpus"].([]any)
	var found []target
	for i, gpu := range gpus {
		if first == "each" || first == "gpu"+strconv.Itoa(i) {
			found = append(found, target{gpu.(map[string]any), rest})
		}
	}
	if found != nil {
		return found
	}
	at := tree
	if first == "stack" && at[first] == nil {
		at[first] = map[string]any{} // an assumed host tells nothing of its installation
	}
	for rest != "" {
		at, _ = at[first].(map[string]any)
		first, rest, _ = strings.Cut(rest, ".")
	}
	return []target{{at, first}}
}

// plainKeys are the places that hold no fact but a bare value.
var plainKeys = []string{"root", "gpus", "bus", "not_asked", "sources"}

func put(at map[string]any, key, value string) error {
	if at == nil {
		return fmt.Errorf("no object to put %s into", key)
	}
	if value == "?" {
		at[key] = map[string]any{"unknown": "the story does not tell"}
		return nil
	}
	var decoded any
	if err := json.Unmarshal([]byte(value), &decoded); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	at[key] = decoded
	if !slices.Contains(plainKeys, key) {
		at[key] = map[string]any{"value": decoded, "source": "story"}
	}
	return nil
}

// libcudaFile is the command "libcuda FILE [CUDA BRANCHES]": a compatibility library that tells these of itself.
func libcudaFile(ts *testscript.TestScript, _ bool, args []string) {
	owner, note := "", ""
	if len(args) == 3 {
		owner, note = "NVIDIA Corporation", fixture.CompatNote(args[1], args[2])
	} else if len(args) != 1 {
		ts.Fatalf("usage: libcuda FILE [CUDA BRANCHES]")
	}
	ts.Check(fixture.Libcuda(context.Background(), ts.MkAbs(args[0]), owner, note))
}

// timelineFile is the command "timeline FILE AFTER FACTS [AFTER FACTS ...]".
func timelineFile(ts *testscript.TestScript, _ bool, args []string) {
	var entries []map[string]any
	for i := 1; i+1 < len(args); i += 2 {
		entries = append(entries, map[string]any{"after": args[i], "facts": json.RawMessage(ts.ReadFile(args[i+1]))})
	}
	text, err := json.Marshal(entries)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}
