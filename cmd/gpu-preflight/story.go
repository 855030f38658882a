package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gpu-preflight/checks/host"
	"gpu-preflight/hook"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// story is a launch on a host that somebody reported: an assumed healthy host, what the report changes in it,
// and what changes while the launch waits.
type story struct {
	name      string
	Title     string          `json:"title"`
	StandsFor string          `json:"stands_for"` // the host's id in testdata/hosts
	Report    string          `json:"report"`     // where it was reported
	Added     string          `json:"added"`      // what the report does not show
	Assume    string          `json:"assume"`
	Change    json.RawMessage `json:"change,omitempty"`   // facts, laid over the assumed ones
	EachGPU   json.RawMessage `json:"each_gpu,omitempty"` // laid over NVML's answers for every GPU
	Then      []change        `json:"then,omitempty"`
	Route     oci.Route       `json:"route,omitempty"`
	Env       []string        `json:"env"`
	Image     image.Compat    `json:"image,omitzero"` // what the root file system holds
	Verdict   string          `json:"verdict"`        // what has to come out
}

// change is what holds from After on, laid over what held before.
type change struct {
	After   string          `json:"after"`
	Change  json.RawMessage `json:"change,omitempty"`
	EachGPU json.RawMessage `json:"each_gpu,omitempty"`
}

func readStory(text []byte) (story, error) {
	var s story
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return s, decoder.Decode(&s)
}

func (s story) judge(ctx context.Context, p hook.Policy) (judged, error) {
	entries, err := s.timeline()
	if err != nil {
		return judged{}, err
	}
	launch := assumedLaunch(s.Route, oci.Container{Env: s.Env})
	launch.Needs.Compat = s.Image
	return judge(ctx, &hook.Timeline{Entries: entries}, launch, p), nil
}

func (s story) timeline() ([]host.Timed, error) {
	changes := append([]change{{After: "0s", Change: s.Change, EachGPU: s.EachGPU}}, s.Then...)
	var entries []host.Timed
	for i, c := range changes {
		after, err := time.ParseDuration(c.After)
		if err != nil {
			return nil, err
		}
		facts, err := host.Assume(s.Assume)
		if err != nil {
			return nil, fmt.Errorf("assume: %w", err)
		}
		for _, over := range changes[:i+1] {
			if err := over.lay(&facts); err != nil {
				return nil, fmt.Errorf("change at %s: %w", over.After, err)
			}
		}
		entries = append(entries, host.Timed{After: after, Facts: facts})
	}
	return entries, nil
}

func (c change) lay(facts *host.Facts) error {
	if c.Change != nil {
		if err := json.Unmarshal(c.Change, facts); err != nil {
			return err
		}
	}
	for i := range facts.NVML.GPUs {
		if c.EachGPU == nil {
			break
		}
		if err := json.Unmarshal(c.EachGPU, &facts.NVML.GPUs[i]); err != nil {
			return err
		}
	}
	return nil
}
