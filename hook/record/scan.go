package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxScan bounds a line that is read, in bytes.
const maxScan = 1 << 20

// LineError is a line of the log that is no record; the lines after it are read all the same.
type LineError struct {
	File string
	Line int // counted from 1 where reading began
	Err  error
}

// Error names the place and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap is the reason.
func (e *LineError) Unwrap() error { return e.Err }

// Scan gives the records of a log, oldest first; with rotated, those of path.1 before them. A line that is no
// record gives a *LineError and reading goes on; any other error ends it. A file that is not there gives an error
// that is fs.ErrNotExist, unless the rotated one is.
func Scan(path string, rotated bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		// Both are opened before one is read: a rotation in between would hide a file.
		current, err := openRegular(path)
		if err == nil {
			defer current.Close()
		}
		if rotated {
			if older, missing := openRegular(path + ".1"); missing == nil {
				defer older.Close()
				if !newLineReader(older, path+".1").each(true, yield) {
					return
				}
				if errors.Is(err, fs.ErrNotExist) {
					return
				}
			}
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("log: %w", err))
			return
		}
		newLineReader(current, path).each(true, yield)
	}
}

func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	return regular(f, path)
}

// lineReader reads records from a file that may grow. What stands behind the last newline is kept until the
// rest of the line comes.
type lineReader struct {
	in      *bufio.Reader
	name    string
	line    int
	partial []byte
	tooLong bool
}

func newLineReader(f io.Reader, name string) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(f, 64<<10), name: name}
}

// each yields every record there is now; false when yield or an error ended it.
func (l *lineReader) each(last bool, yield func(Record, error) bool) bool {
	for {
		r, err := l.next(last)
		if errors.Is(err, io.EOF) {
			return true
		}
		if !yield(r, err) {
			return false
		}
		var line *LineError
		if err != nil && !errors.As(err, &line) {
			return false
		}
	}
}

// next gives the next record, a *LineError, or io.EOF. With last, a line without an end counts as a line.
func (l *lineReader) next(last bool) (Record, error) {
	for {
		chunk, err := l.in.ReadSlice('\n')
		if len(l.partial)+len(chunk) > maxScan {
			l.tooLong, l.partial = true, nil
		}
		if !l.tooLong {
			l.partial = append(l.partial, chunk...)
		}
		switch {
		case err == nil:
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case !errors.Is(err, io.EOF):
			return Record{}, fmt.Errorf("%s: %w", l.name, err)
		case !last || len(l.partial) == 0 && !l.tooLong:
			return Record{}, io.EOF
		}
		if r, err := l.take(); err != nil || r.Schema != "" {
			return r, err
		}
	}
}

// take decodes the line that was collected; an empty line gives neither a record nor an error.
func (l *lineReader) take() (Record, error) {
	text, tooLong := bytes.Trim(l.partial, "\x00 \t\r\n"), l.tooLong // a crash leaves zeros behind
	l.line++
	l.partial, l.tooLong = l.partial[:0], false
	if tooLong {
		return Record{}, &LineError{l.name, l.line, fmt.Errorf("longer than %d bytes", maxScan)}
	}
	if len(text) == 0 {
		return Record{}, nil
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, &LineError{l.name, l.line, err}
	}
	if r.Schema != Schema {
		return Record{}, &LineError{l.name, l.line, fmt.Errorf("schema %.60q is not %s", r.Schema, Schema)}
	}
	return r, nil
}

// Filter chooses records. The zero Filter takes all.
type Filter struct {
	Refused   bool      // refused, or would have been in mode enforce
	Since     time.Time // not before
	Container string    // the container's name, or the beginning of its ID
}

// Match tells whether a record is chosen.
func (f Filter) Match(r Record) bool {
	if f.Refused && r.Verdict != "refuse" && !r.WouldRefuse {
		return false
	}
	if r.Time.Before(f.Since) {
		return false
	}
	return f.Container == "" || r.Container.Name == f.Container || strings.HasPrefix(r.Container.ID, f.Container)
}
