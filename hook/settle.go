package hook

import (
	"context"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
)

// lookEvery is how often a transient fault is looked at again.
const lookEvery = time.Second

// World gives the facts of a host and lets time pass: the real one reads this host and sleeps, demo and tests
// play a timeline.
type World interface {
	Facts(ctx context.Context) host.Facts
	Sleep(ctx context.Context, d time.Duration)
	Elapsed() time.Duration // since the launch began
}

// Settle judges, and judges again while every failure is one that waiting may mend, until the policy's settle
// has passed. A fault that is still transient then starts the container; one that was only worth a second look
// holds. It returns the last facts, the verdict and how long it waited.
func Settle(ctx context.Context, world World, launch checks.Launch, p Policy) (host.Facts, Verdict, time.Duration) {
	facts := world.Facts(ctx)
	return settle(ctx, world, facts, Judge(facts, launch, p), launch, p)
}

// settle goes on from the first look.
func settle(ctx context.Context, world World, facts host.Facts, v Verdict, launch checks.Launch, p Policy) (host.Facts, Verdict, time.Duration) {
	began, waited := world.Elapsed(), time.Duration(0)
	for p.Mode != ModeOff && mayMend(v.Results) && ctx.Err() == nil {
		left := time.Duration(p.Settle) - world.Elapsed()
		if left <= 0 {
			break
		}
		world.Sleep(ctx, min(lookEvery, left))
		if ctx.Err() != nil {
			break // what is read after the end is unknown, and unknown must not replace what was found
		}
		facts = world.Facts(ctx)
		v = Judge(facts, launch, p)
		waited = world.Elapsed() - began
	}
	return facts, v, waited
}

// ThisHost is the real world: the host that the hook runs on.
type ThisHost struct {
	Options host.Options
	Timeout time.Duration // for one look at the host
	Began   time.Time
}

// Facts reads the host; what is not there by the deadline is unknown.
func (w *ThisHost) Facts(ctx context.Context) host.Facts {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	return host.Gather(ctx, w.Options)
}

// Sleep waits, or returns when ctx is done.
func (w *ThisHost) Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Elapsed is the time since the launch began.
func (w *ThisHost) Elapsed() time.Duration { return time.Since(w.Began) }

// Timeline plays recorded facts by a clock of its own: what holds at a time is the last entry that is due.
type Timeline struct {
	Entries []host.Timed
	now     time.Duration
}

// Facts returns the entry that is due now.
func (t *Timeline) Facts(context.Context) host.Facts {
	var facts host.Facts
	for _, e := range t.Entries {
		if e.After <= t.now {
			facts = e.Facts
		}
	}
	return facts
}

// Sleep moves the timeline's clock.
func (t *Timeline) Sleep(_ context.Context, d time.Duration) { t.now += d }

// Elapsed is the timeline's clock.
func (t *Timeline) Elapsed() time.Duration { return t.now }
