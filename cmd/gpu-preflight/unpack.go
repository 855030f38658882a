package main

import (
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// maxWindow is the memory in bytes that a compressed module may ask for; the largest preset of xz asks for it.
const maxWindow = 64 << 20

// unpack reads kernel modules as distributions compress them: .xz on Fedora and RHEL, .zst on Ubuntu and Arch, .gz.
func unpack(ending string, packed io.Reader) (io.Reader, error) {
	switch ending {
	case ".xz":
		return xz.NewReader(packed, maxWindow)
	case ".zst":
		return zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	case ".gz":
		return gzip.NewReader(packed)
	}
	return nil, fmt.Errorf("a file that ends in %q is not compressed in a known way", ending)
}
