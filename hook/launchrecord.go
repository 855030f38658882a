package hook

import (
	"context"
	"errors"
	"strings"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/hook/record"
	"gpu-preflight/oci"
)

// RequestNames are the GPUs asked for as the record shows them.
func RequestNames(request oci.GPURequest) []string {
	if names := askedNames(request); len(names) > 0 {
		return names
	}
	return []string{"all"}
}

// newRecord is what is known of a launch before it is judged.
func (o Options) newRecord(launch checks.Launch) record.Record {
	c := launch.Container
	namespace, img, _ := oci.Namespace(c)
	r := record.Record{
		Schema: record.Schema, Time: time.Now().UTC(), Program: o.Program, Ignored: o.Ignored,
		Container: record.Container{
			ID: c.ID, Engine: oci.Engine(c), Name: oci.Name(c), Image: img, Namespace: namespace, Bundle: c.Bundle,
		},
		Route: string(launch.GPUs.Route), GPUs: RequestNames(launch.GPUs),
	}
	var requirements []string
	for _, q := range launch.Needs.Requirements {
		requirements = append(requirements, q.Name+"="+q.Expression)
	}
	if launch.Needs.CUDAVersion != "" {
		requirements = append(requirements, "CUDA_VERSION="+launch.Needs.CUDAVersion)
	}
	r.Requirement = strings.Join(requirements, "; ")
	return r
}

// fill adds what the judgement found.
func fill(r *record.Record, facts host.Facts, v Verdict, waited time.Duration, message string) {
	r.Verdict, r.Mode, r.WouldRefuse, r.Message = v.Verdict, string(v.Mode), v.WouldRefuse, message
	r.Driver, r.CUDA = facts.Driver.Version.Value, facts.NVML.CUDA.Value
	r.Waited = waited.Seconds()
	for _, result := range v.Results {
		if result.Status != checks.StatusPass && result.Status != checks.StatusSkip {
			r.Results = append(r.Results, result)
		}
	}
}

// keep writes the record; a log that cannot be written never changes a verdict.
func (o Options) keep(ctx context.Context, p Policy, r record.Record) {
	r.Duration = float64(time.Since(o.Began).Microseconds()) / 1000
	_ = record.Keep(context.WithoutCancel(ctx), p.Log.File, p.Log.Journald, r)
}

// problem records an error of ours. The container starts all the same.
func (o Options) problem(ctx context.Context, c *oci.Container, err error) {
	if c == nil {
		c = &oci.Container{}
	}
	defer func() { _ = recover() }() // the record of a panic must not panic
	p := LoadPolicy(o.Config)
	r := o.newRecord(checks.Launch{Container: c})
	r.Verdict, r.Problem, r.GPUs = Allow, err.Error(), nil
	if _, large := errors.AsType[*oci.TooLargeError](err); large {
		r.Problem += ": not judged"
	}
	o.keep(ctx, p, r)
}
