package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"
)

// followEvery is how often a followed log is looked at.
const followEvery = 200 * time.Millisecond

// Follow gives the records of a log from the byte offset from on (negative: from its end) and then those that
// come, until ctx ends. It goes on after a rotation, a truncation, and when the file comes only later. A line
// that is no record gives a *LineError; any other error ends it.
func Follow(ctx context.Context, path string, from int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		f := follower{path: path, from: from}
		defer f.close()
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		for f.look(yield) {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// follower reads a file by its path, whatever file that is at the moment.
type follower struct {
	path  string
	from  int64 // where the first file is begun
	file  *os.File
	lines *lineReader
}

// look reads what has come since the last look; false ends the following.
func (f *follower) look(yield func(Record, error) bool) bool {
	for {
		if f.file == nil {
			there, err := f.open()
			if err != nil {
				yield(Record{}, err)
				return false
			}
			if !there {
				return true
			}
		}
		if !f.lines.each(false, yield) {
			return false
		}
		moved, err := f.moved()
		if err != nil {
			yield(Record{}, err)
			return false
		}
		if !moved {
			return true
		}
		// What was written between the last read and the rename is still in the old file.
		if !f.lines.each(true, yield) {
			return false
		}
		f.close()
	}
}

// open opens the file of the path; false when there is none yet.
func (f *follower) open() (bool, error) {
	file, err := openRegular(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.from = 0 // what comes later is new from its beginning
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("log: %w", err)
	}
	whence := io.SeekStart
	if f.from < 0 {
		f.from, whence = 0, io.SeekEnd
	}
	if _, err := file.Seek(f.from, whence); err != nil {
		_ = file.Close()
		return false, fmt.Errorf("log: %w", err)
	}
	f.file, f.from = file, 0
	f.lines = newLineReader(file, f.path)
	return true, nil
}

func (f *follower) close() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// moved tells whether the path is another file now, or the same one cut shorter.
func (f *follower) moved() (bool, error) {
	old, err := f.file.Stat()
	if err != nil {
		return false, fmt.Errorf("log: %w", err)
	}
	now, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // between rename and the next launch
	}
	if err != nil {
		return false, fmt.Errorf("log: %w", err)
	}
	if !os.SameFile(old, now) {
		return true, nil
	}
	read, err := f.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, fmt.Errorf("log: %w", err)
	}
	if now.Size() < read {
		f.lines.partial = nil // its rest is gone
		return true, nil
	}
	return false, nil
}
