package host

import (
	"bytes"
	"encoding/binary"
)

// The cache of the dynamic loader, /etc/ld.so.cache, as glibc writes it (sysdeps/generic/dl-cache.h). The new
// format may follow an old one in the same file; its offsets count from its own begin.
const (
	cacheMagic    = "glibc-ld.so.cache1.1"
	oldCacheMagic = "ld.so-1.7.0\x00"
	cacheHeader   = 48
	cacheEntry    = 24
	oldEntry      = 12
	maxEntries    = 200_000
)

// parseCache returns the paths that the loader knows for the given library name, in its order. What is not such
// a file has none; every offset is checked.
func parseCache(data []byte, name string) []string {
	data = newFormat(data)
	if len(data) < cacheHeader {
		return nil
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if data[28]&3 == 3 { // the flags' low bits: 2 little, 3 big endian, 0 as the machine
		order = binary.BigEndian
	}
	count := order.Uint32(data[20:])
	if count > maxEntries || int(count)*cacheEntry+cacheHeader > len(data) {
		return nil
	}
	var paths []string
	for i := range int(count) {
		entry := data[cacheHeader+i*cacheEntry:]
		if !bytes.Equal(cString(data, order.Uint32(entry[4:])), []byte(name)) {
			continue
		}
		if path := cString(data, order.Uint32(entry[8:])); len(path) > 0 && path[0] == '/' {
			paths = append(paths, string(path))
		}
	}
	return paths
}

// newFormat cuts off an old-format cache in front.
func newFormat(data []byte) []byte {
	if bytes.HasPrefix(data, []byte(oldCacheMagic)) && len(data) >= 16 {
		count := binary.NativeEndian.Uint32(data[12:])
		if count > maxEntries {
			return nil
		}
		end := (16 + int(count)*oldEntry + 7) &^ 7
		if end > len(data) {
			return nil
		}
		data = data[end:]
	}
	if !bytes.HasPrefix(data, []byte(cacheMagic)) {
		return nil
	}
	return data
}

// cString is the zero-ended text at an offset, empty when it is out of bounds.
func cString(data []byte, offset uint32) []byte {
	if uint64(offset) >= uint64(len(data)) {
		return nil
	}
	rest := data[offset:]
	end := bytes.IndexByte(rest[:min(len(rest), 4096)], 0)
	if end < 0 {
		return nil
	}
	return rest[:end]
}
