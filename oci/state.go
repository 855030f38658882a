// Package oci reads what a container runtime was told about one container: the state on a hook's stdin, the
// bundle's config.json, and whether it is a GPU launch. It does not judge.
package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const maxState = 1 << 20 // bytes; runc's is below 10 KB unless the annotations are huge

// State is the container's state as a runtime gives it to a hook.
type State struct {
	ID          string
	Status      string // creating (runc) or created (crun): not to be relied on
	Bundle      string // folder of config.json
	Root        string // crun only: root.path as config.json has it
	Pid         int    // 0 or 1 in hooks of the container's namespaces: not to be relied on
	Annotations map[string]string
}

// ReadState reads the state from a hook's stdin, at most 1 MiB. It asks only for the bundle: ociVersion "1.0",
// status "created" and an extra "root" are crun's, missing annotations Docker's, and bundlePath instead of bundle
// is runc's before Docker 17.06 (cmd/nvidia-container-runtime-hook reads it too). Text after the object is
// not read, so that a runtime which leaves the pipe open does not hold the hook.
func ReadState(r io.Reader) (State, error) {
	var wire struct {
		ID          string            `json:"id"`
		Status      string            `json:"status"`
		Pid         int               `json:"pid"`
		Root        string            `json:"root"`
		Bundle      string            `json:"bundle"`
		BundlePath  string            `json:"bundlePath"`
		Annotations map[string]string `json:"annotations"`
	}
	limited := &io.LimitedReader{R: r, N: maxState + 1}
	err := json.NewDecoder(limited).Decode(&wire)
	if wire.Bundle == "" {
		wire.Bundle = wire.BundlePath
	}
	state := State{
		ID: wire.ID, Status: wire.Status, Bundle: wire.Bundle, Root: wire.Root,
		Pid: wire.Pid, Annotations: wire.Annotations,
	}
	var mistyped *json.UnmarshalTypeError
	switch {
	case limited.N == 0:
		return State{}, fmt.Errorf("state on stdin: %w", &TooLargeError{Limit: maxState})
	case errors.As(err, &mistyped) && state.Bundle != "" && mistyped.Field != "bundle" && mistyped.Field != "bundlePath":
		return state, nil // one odd field does not take the bundle away
	case errors.Is(err, io.EOF):
		return State{}, errors.New("state on stdin: it is empty")
	case err != nil:
		return State{}, fmt.Errorf("state on stdin: %s%w", offset(err), err)
	case state.Bundle == "":
		return State{}, errors.New("state on stdin: it names no bundle")
	}
	return state, nil
}

func offset(err error) string {
	if at, ok := errorOffset(err); ok {
		return fmt.Sprintf("offset %d: ", at)
	}
	return ""
}
