package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
)

// maxLine bounds one record in the file, in bytes with its newline.
const maxLine = 64 << 10

// Append adds a record to the log as one line in one write, so that launches at the same time neither lose nor
// mix records. A missing folder is made. It never waits: what is not a regular file (a FIFO, a terminal) is an
// error. Errors say what could not be kept; they change no verdict.
func Append(path string, r Record) error {
	line, err := Encode(r)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	f, err := openLog(path)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	defer f.Close()
	cutBefore, err := join(f)
	if err != nil {
		return fmt.Errorf("record in %s: %w", path, err)
	}
	if cutBefore {
		line = append([]byte("\n"), line...)
	}
	if err := writeOnce(f, line); err != nil {
		return fmt.Errorf("record in %s: %w", path, err)
	}
	return nil
}

// openLog opens the file to append, or makes it readable for everyone whatever the umask of the engine.
func openLog(path string) (*os.File, error) {
	const flags = os.O_RDWR | os.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, flags|os.O_CREATE, 0o644)
		if err == nil {
			_ = f.Chmod(0o644) // against the umask; a file that was there is ours or someone chose its mode
		}
	}
	if err != nil {
		return nil, err
	}
	return regular(f, path)
}

// regular closes what is no regular file: a FIFO or a terminal in the log's place must not make anybody wait.
func regular(f *os.File, path string) (*os.File, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file (%s)", path, info.Mode().Type())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// The tries to join those who write: a tenth of a second, which one write never takes.
const (
	tries   = 50
	between = 2 * time.Millisecond
)

// join makes us one of those who write the log, until it is closed: they share a lock. cutBefore tells that the log ends
// inside a line that none of them is writing, which a full disk or a crash leaves behind; then we hold it alone. Where
// the lock is not to be had (a file system without locks, somebody who holds it) only the tries tell.
func join(f *os.File) (cutBefore bool, err error) {
	for range tries {
		how := unix.LOCK_SH
		if cutBefore, err = endsInside(f); err != nil {
			return false, err
		}
		if cutBefore {
			how = unix.LOCK_EX
		}
		if unix.Flock(int(f.Fd()), how|unix.LOCK_NB) == nil {
			if !cutBefore {
				return false, nil
			}
			return endsInside(f)
		}
		time.Sleep(between)
	}
	return cutBefore, nil
}

// endsInside tells whether the file ends inside a line now.
func endsInside(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil {
		if errors.Is(err, io.EOF) { // truncated between the two calls
			return false, nil
		}
		return false, err
	}
	return last[0] != '\n', nil
}

// writeOnce writes in one call; os.File.Write would go on after a short one, and mix with another record.
func writeOnce(f *os.File, line []byte) error {
	for {
		n, err := unix.Write(int(f.Fd()), line)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n < len(line):
			return io.ErrShortWrite
		}
		return nil
	}
}

// Encode gives the line of a record, shorter where it would be too long: the details of the results first. What is far too
// long is not encoded to find that out.
func Encode(r Record) ([]byte, error) {
	r.Schema = Schema
	shorter := []func(Record, int) Record{shortResults, shorten}
	candidate := r
	for try := 0; ; try++ {
		last := try == 2*len(limits)
		if last || size(candidate) <= maxLine {
			line, err := marshal(candidate)
			if last || err != nil || len(line) <= maxLine {
				return line, err
			}
		}
		candidate = shorter[try/len(limits)](r, limits[try%len(limits)])
	}
}

// limits are the bounds of one text that are tried in turn, in bytes. With the last one every record fits.
var limits = []int{1024, 256, 64, 16}

// size is the length of a record's texts, which is less than that of its line.
func size(r Record) int {
	c := r.Container
	n := len(r.Requirement) + len(r.Message) + len(r.Problem) + len(r.Driver) + len(c.ID) + len(c.Name) + len(c.Image) + len(c.Bundle)
	lists := [][]string{r.GPUs, r.Ignored}
	for _, result := range r.Results {
		n += len(result.ID) + len(result.Title) + len(result.What) + len(result.Why)
		lists = append(lists, result.Fix, result.Source, result.Unmet)
	}
	for _, list := range lists {
		for _, text := range list {
			n += len(text)
		}
	}
	return n
}

func marshal(r Record) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // cuda>=12 is read and searched for as it is
	if err := encoder.Encode(r); err != nil {
		return nil, err
	}
	return checks.EscapeJSON(b.Bytes()), nil
}

// shorten cuts every text of a record.
func shorten(r Record, limit int) Record {
	r = shortResults(r, limit)
	c := &r.Container
	for _, text := range []*string{
		&r.Verdict, &r.Mode, &r.Program, &r.Route, &r.Requirement, &r.Driver, &r.CUDA, &r.Message, &r.Problem,
		&c.ID, &c.Engine, &c.Name, &c.Image, &c.Namespace, &c.Bundle,
	} {
		*text = short(*text, limit)
	}
	r.GPUs, r.Ignored = shortList(r.GPUs, limit), shortList(r.Ignored, limit)
	return r
}

func shortResults(r Record, limit int) Record {
	results := make([]checks.Result, 0, min(len(r.Results), 32))
	for _, result := range r.Results[:min(len(r.Results), 32)] {
		for _, text := range []*string{&result.ID, &result.Title, &result.What, &result.Why} {
			*text = short(*text, limit)
		}
		result.Layer, result.Status = checks.Layer(short(string(result.Layer), limit)), checks.Status(short(string(result.Status), limit))
		result.Fix, result.Source, result.Unmet = shortList(result.Fix, limit), shortList(result.Source, limit), shortList(result.Unmet, limit)
		result.CUDA = result.CUDA[:min(len(result.CUDA), 8)]
		results = append(results, result)
	}
	r.Results = results
	return r
}

// shortList keeps a few entries, each cut, and says how many there were.
func shortList(list []string, limit int) []string {
	keep := max(1, limit/128)
	if len(list) > keep {
		list = append(list[:keep:keep], fmt.Sprintf("… %d more", len(list)-keep))
	}
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = short(text, limit)
	}
	return out
}

func short(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return checks.Cut(text, limit) + "…"
}
