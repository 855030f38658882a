package checks

import (
	"fmt"
	"strconv"
	"strings"
)

// Status is what one check found.
type Status string

// The five statuses. By default only StatusFail refuses a launch.
const (
	StatusPass    Status = "pass"
	StatusSkip    Status = "skip"    // does not apply here, or was not asked on purpose
	StatusUnknown Status = "unknown" // a fact could not be read
	StatusWarn    Status = "warn"    // works, with limits or a doubt
	StatusFail    Status = "fail"    // cannot work
)

// Result is what one check says about one launch. A check sets Status, What, Fix, Source and the details; Run
// copies the rest from the Check, so that a Result can be read alone.
type Result struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Layer  Layer    `json:"layer"`
	Status Status   `json:"status"`
	What   string   `json:"what"`          // what was found; for a failure the two values that disagree
	Why    string   `json:"why,omitempty"` // what CUDA would do about it
	Fix    []string `json:"fix,omitempty"` // what to bring about, most helpful first
	Source []string `json:"source,omitempty"`
	// Transient is a failure that waiting may mend: the launch waits up to the policy's settle and then starts.
	Transient bool `json:"transient,omitempty"`
	// LookAgain is a failure that is looked at again until settle, and then holds.
	LookAgain bool     `json:"look_again,omitempty"`
	CUDA      []int    `json:"cuda_errors,omitempty"`
	Unmet     []string `json:"unmet,omitempty"` // every unmet term of a requirement
	// Need marks a failure of what the image asks for, which NVIDIA_DISABLE_REQUIRE turns into a warning.
	Need bool `json:"-"`
	// Proven says that files of the image prove the need, which the policy's evidence may turn into a warning.
	Proven bool `json:"-"`
}

func result(status Status, format string, args ...any) Result {
	return Result{Status: status, What: fmt.Sprintf(format, args...)}
}

func pass(format string, args ...any) Result { return result(StatusPass, format, args...) }
func skip(format string, args ...any) Result { return result(StatusSkip, format, args...) }
func warn(format string, args ...any) Result { return result(StatusWarn, format, args...) }
func fail(format string, args ...any) Result { return result(StatusFail, format, args...) }

func unknown(format string, args ...any) Result { return result(StatusUnknown, format, args...) }

// Refusal is what a result that refuses says: an unknown one does so by the policy alone, and tells only why it is not
// known.
func (r Result) Refusal() string {
	if r.Status != StatusUnknown {
		return r.What
	}
	return `the policy refuses what is unknown: whether ` + r.Title + " (" + r.What + ")"
}

// fix adds what to bring about.
func (r Result) fix(lines ...string) Result {
	r.Fix = append(r.Fix, lines...)
	return r
}

// from adds where the facts came from; unknown facts have nothing to add.
func (r Result) from(sources ...string) Result {
	for _, source := range sources {
		if source != "" {
			r.Source = append(r.Source, source)
		}
	}
	return r
}

// because replaces the check's own Why, where one check finds troubles of several kinds.
func (r Result) because(why string, cuda ...int) Result {
	r.Why, r.CUDA = why, cuda
	return r
}

// lowered makes a failure a warning, for which nobody waits.
func (r Result) lowered() Result {
	r.Status, r.Transient, r.LookAgain = StatusWarn, false, false
	return r
}

// maxWhat bounds what a check says, in bytes: names and expressions are the image author's.
const maxWhat = 600

// plain escapes what is not printable ASCII, as Go writes it in a string, and cuts what is long.
func plain(text string) string {
	var b strings.Builder
	for _, c := range text {
		if c < ' ' || c > '~' {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(c), "'"))
		} else {
			b.WriteRune(c)
		}
		if b.Len() > maxWhat {
			return b.String() + " (cut)"
		}
	}
	return b.String()
}
