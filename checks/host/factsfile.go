package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

// maxFactsFile bounds a facts file, in bytes.
const maxFactsFile = 16 << 20

// Timed is an entry of a facts file that tells how a host changes: the facts that hold from After on.
type Timed struct {
	After time.Duration
	Facts Facts
}

// timed is an entry as it is written.
type timed struct {
	After string `json:"after"`
	Facts *Facts `json:"facts"`
}

// ReadFacts reads a facts file: one object as the command facts prints it, or an array of
// {"after": "3s", "facts": {…}} in ascending order. It reads at most 16 MiB of a regular file. Errors name the
// file and, where the text is to blame, line and column. Keys that it does not know are left alone, since later
// versions of the schema only add; another schema is an error, no schema is not.
func ReadFacts(path string) ([]Timed, error) {
	data, err := readFactsFile(path)
	if err != nil {
		return nil, fmt.Errorf("facts %s: %w", path, err)
	}
	entries, err := parseFacts(data)
	if err != nil {
		return nil, fmt.Errorf("facts %s:%s%w", path, place(data, err), err)
	}
	return entries, nil
}

func readFactsFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if failed, ok := errors.AsType[*os.PathError](err); ok {
			err = failed.Err
		}
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFactsFile+1))
	if err == nil && len(data) > maxFactsFile {
		err = fmt.Errorf("more than %d bytes", maxFactsFile)
	}
	return data, err
}

func parseFacts(data []byte) ([]Timed, error) {
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return nil, errors.New("it is empty")
	}
	if trimmed[0] != '[' {
		var facts Facts
		if err := json.Unmarshal(data, &facts); err != nil {
			return nil, err
		}
		return []Timed{{Facts: facts}}, checkSchema(facts)
	}
	var wire []timed
	if err := json.Unmarshal(data, &wire); err != nil {
		return nil, err
	}
	if len(wire) == 0 {
		return nil, errors.New("the array has no entry")
	}
	var entries []Timed
	for i, w := range wire {
		entry, err := w.entry()
		if err == nil && i > 0 && entry.After < entries[i-1].After {
			err = fmt.Errorf("after %s comes behind %s", entry.After, entries[i-1].After)
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func (w timed) entry() (Timed, error) {
	if w.Facts == nil {
		return Timed{}, errors.New(`no "facts"`)
	}
	var after time.Duration
	if w.After != "" {
		var err error
		if after, err = time.ParseDuration(w.After); err != nil || after < 0 {
			return Timed{}, fmt.Errorf("after %q is no time such as 3s", w.After)
		}
	}
	return Timed{After: after, Facts: *w.Facts}, checkSchema(*w.Facts)
}

func checkSchema(f Facts) error {
	if f.Schema != "" && f.Schema != Schema {
		return fmt.Errorf("schema %.60q; this program reads %q", f.Schema, Schema)
	}
	return nil
}

// place gives the line and column of an error of JSON, from 1 on, as "line:column: ".
func place(data []byte, err error) string {
	at := int64(-1)
	var inner *fact.DecodeError
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &inner):
		at = int64(max(0, bytes.Index(data, inner.JSON))) + 1
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &mistyped):
		at = mistyped.Offset
	}
	if at < 0 {
		return " "
	}
	before := data[:max(0, min(at, int64(len(data))))]
	return fmt.Sprintf("%d:%d: ", 1+bytes.Count(before, []byte{'\n'}), max(1, len(before)-bytes.LastIndexByte(before, '\n')-1))
}
