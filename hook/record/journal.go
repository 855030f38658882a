package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"gpu-preflight/checks"
)

// journalSocket is where journald listens (systemd-journald.service(8)).
const journalSocket = "/run/systemd/journal/socket"

// journalTimeout bounds the copy to the journal: a socket nobody empties makes its writer wait without end.
const journalTimeout = 200 * time.Millisecond

// ErrNoJournal says that no journald runs here.
var ErrNoJournal = errors.New("journald does not run here")

// Journal sends a record to journald, the whole of it in GPU_PREFLIGHT_RECORD. message is what journalctl shows;
// when it is empty, a short text is made from the record. It waits 200 ms at most, less if ctx ends earlier; a
// send that hangs is left behind.
func Journal(ctx context.Context, r Record, message string) error {
	if !journalThere() {
		return ErrNoJournal
	}
	line, err := Encode(r)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if message == "" {
		message = summary(r)
	}
	fields := journalFields(r)
	fields["GPU_PREFLIGHT_RECORD"] = strings.TrimSuffix(string(line), "\n")
	return bounded(ctx, func() error { return journal.Send(checks.Printable(message), priority(r), fields) })
}

func journalThere() bool {
	info, err := os.Stat(journalSocket)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// bounded runs send and leaves it behind when it takes too long.
func bounded(ctx context.Context, send func() error) error {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := errors.New("send panicked")
		defer func() {
			_ = recover() // a copy of a record must not end the launch
			done <- err
		}()
		err = send()
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("journal: %w", ctx.Err())
	}
}

func priority(r Record) journal.Priority {
	switch {
	case r.Verdict == "refuse":
		return journal.PriErr
	case r.Verdict == "warn", r.WouldRefuse, r.Problem != "":
		return journal.PriWarning
	}
	return journal.PriInfo
}

// journalFields name the container with the words of Docker's journald driver, so that one query finds the
// container's own lines and ours.
func journalFields(r Record) map[string]string {
	fields := map[string]string{
		"SYSLOG_IDENTIFIER":          "gpu-preflight",
		"GPU_PREFLIGHT_VERDICT":      r.Verdict,
		"GPU_PREFLIGHT_WOULD_REFUSE": strconv.FormatBool(r.WouldRefuse),
		"GPU_PREFLIGHT_CHECKS":       strings.Join(ids(r), ","),
		"CONTAINER_ID":               checks.Cut(r.Container.ID, 12),
		"CONTAINER_ID_FULL":          r.Container.ID,
		"CONTAINER_NAME":             r.Container.Name,
		"IMAGE_NAME":                 r.Container.Image,
	}
	for name, value := range fields {
		fields[name] = short(checks.Printable(value), 1024)
	}
	return fields
}

func ids(r Record) []string {
	var out []string
	for _, result := range r.Results {
		out = append(out, result.ID)
	}
	return out
}

// summary says in one line what a record says, for launches of which the runtime was told nothing.
func summary(r Record) string {
	name := r.Container.Name
	if name == "" {
		name = checks.Cut(r.Container.ID, 12)
	}
	text := fmt.Sprintf("gpu-preflight: %s, container %q, image %q", r.Verdict, short(name, 256), short(r.Container.Image, 256))
	if r.WouldRefuse {
		text += ", would be refused in mode enforce"
	}
	if found := ids(r); len(found) > 0 {
		text += " [" + strings.Join(found, ", ") + "]"
	}
	if r.Problem != "" {
		text += ": " + r.Problem
	}
	return text
}
