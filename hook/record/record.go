// Package record keeps the log of judged launches: one JSON object a line, appended in one write.
package record

import (
	"time"

	"gpu-preflight/checks"
)

// Schema names the JSON form of Record; additions only.
const Schema = "gpu-preflight.record/v1"

// Record is one judged launch, or one that could not be judged (Problem).
type Record struct {
	Schema      string          `json:"schema"`
	Time        time.Time       `json:"time"`
	Verdict     string          `json:"verdict"` // allow | warn | refuse | exempt
	WouldRefuse bool            `json:"would_refuse,omitempty"`
	Mode        string          `json:"mode,omitempty"`
	Program     string          `json:"program"` // hook | runtime
	Container   Container       `json:"container"`
	Route       string          `json:"route,omitempty"`
	GPUs        []string        `json:"gpus,omitempty"` // as asked for: all, 0, GPU-…, minor:0
	Requirement string          `json:"requirement,omitempty"`
	Driver      string          `json:"driver,omitempty"`
	CUDA        string          `json:"cuda,omitempty"`
	Message     string          `json:"message,omitempty"` // what the runtime was told
	Results     []checks.Result `json:"results,omitempty"` // those that are not pass or skip
	Problem     string          `json:"problem,omitempty"` // an error of ours: the container was started unjudged
	Ignored     []string        `json:"ignored_arguments,omitempty"`
	Waited      float64         `json:"waited_s,omitempty"` // seconds spent waiting for transient faults
	Duration    float64         `json:"duration_ms"`
}

// Container names the container as far as the runtime tells.
type Container struct {
	ID        string `json:"id"`
	Engine    string `json:"engine,omitempty"`
	Name      string `json:"name,omitempty"`
	Image     string `json:"image,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Bundle    string `json:"bundle,omitempty"`
}
