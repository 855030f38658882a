package remote

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	stall      = time.Minute // without a byte for so long, the place is given up
	maxWindow  = 128 << 20   // bytes of memory that a zstd stream may ask for: zstd's own limit is as high
	bombSize   = 256 << 20   // a layer that expands to more bytes than this,
	bombFactor = 500         // and to so many times its own size, is no image's (files of zeros reach it, programs never)
)

// watch ends a context when nothing moves.
type watch struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	timer *time.Timer
}

func newWatch(ctx context.Context) *watch {
	ctx, end := context.WithCancelCause(ctx)
	w := &watch{ctx: ctx, end: end}
	w.timer = time.AfterFunc(stall, func() { end(fmt.Errorf("nothing came for %s", stall)) })
	return w
}

func (w *watch) stop() {
	w.timer.Stop()
	w.end(nil)
}

// err prefers the reason why the watch ended to what that made of a request.
func (w *watch) err(err error) error {
	if cause := context.Cause(w.ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// counter counts what it reads, and keeps the watch awake.
type counter struct {
	from io.Reader
	w    *watch
	read int64
	tell func(more int64)
}

func (c *counter) Read(p []byte) (int, error) {
	if err := context.Cause(c.w.ctx); err != nil {
		return 0, err
	}
	n, err := c.from.Read(p)
	c.w.timer.Reset(stall)
	c.read += int64(n)
	c.tell(int64(n))
	return n, err
}

// expanded is the layer of a counter, bounded by its size.
type expanded struct {
	from io.Reader
	in   *counter
	read int64
}

var errBomb = fmt.Errorf("it expands to more than %d times its size: no image's layer does", bombFactor)

func (e *expanded) Read(p []byte) (int, error) {
	n, err := e.from.Read(p)
	if e.read += int64(n); e.read > bombSize && e.read/bombFactor > e.in.read {
		return 0, errBomb
	}
	return n, err
}

// expand reads gzip, zstd and plain layers, by their first bytes: media types lie, and archives have none.
func expand(in *counter) (layer io.Reader, closeIt func(), err error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	out := &expanded{from: buffered, in: in}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unzip, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, nil, err
		}
		out.from = unzip
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		unzip, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		out.from = unzip
		return out, unzip.Close, nil
	}
	return out, func() {}, nil
}
