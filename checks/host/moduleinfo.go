package host

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// moduleInfo reads version and flavor of a module that is not compressed, from its section .modinfo (elf(5),
// modinfo(8)); empty for what cannot be read so.
func (t tree) moduleInfo(file string) (m ModuleFile) {
	fd, _, err := t.openRegular(file)
	if err != nil {
		return m
	}
	defer func() { _ = unix.Close(fd) }()
	for entry := range bytes.SplitSeq(elfSection(fd, ".modinfo"), []byte{0}) {
		key, value, _ := strings.Cut(string(entry), "=")
		m.tell(key, value)
	}
	return m
}

// Bounds of what is read of an ELF file.
const (
	maxSections = 4096
	maxSection  = 1 << 20
)

// elfSection is the content of a section of a 64-bit little-endian ELF file, empty for what is none. Every offset
// is checked by the read itself.
func elfSection(fd int, name string) []byte {
	head := readAt(fd, 0, 64)
	if len(head) < 64 || string(head[:6]) != "\x7fELF\x02\x01" {
		return nil
	}
	order := binary.LittleEndian
	at, size, count, names := order.Uint64(head[40:]), order.Uint16(head[58:]), order.Uint16(head[60:]), order.Uint16(head[62:])
	if size != 64 || count > maxSections || names >= count {
		return nil
	}
	table := readAt(fd, at, uint64(count)*64)
	if len(table) < int(count)*64 {
		return nil
	}
	section := func(i uint16) []byte {
		row := table[int(i)*64:]
		return readAt(fd, order.Uint64(row[24:]), order.Uint64(row[32:]))
	}
	text := section(names)
	for i := range count {
		if string(cString(text, order.Uint32(table[int(i)*64:]))) == name {
			return section(i)
		}
	}
	return nil
}

func readAt(fd int, offset, size uint64) []byte {
	if size > maxSection || offset > 1<<40 {
		return nil
	}
	buf := make([]byte, size)
	n, err := unix.Pread(fd, buf, int64(offset))
	if err != nil {
		return nil
	}
	return buf[:n]
}
