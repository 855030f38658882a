package image

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Note is what a compatibility libcuda tells of itself, in the section .note.cuda.fwd_compatibility that NVIDIA's own
// hook reads too (nvidia-container-toolkit, cmd/nvidia-cdi-hook/cudacompat/cuda-elf-header.go).
type Note struct {
	CUDA     string `json:"cuda"`               // the CUDA that it brings: 12.9
	Branches []int  `json:"branches,omitempty"` // branches of the kernel driver that it serves; none on Jetson
}

const (
	noteSection = ".note.cuda.fwd_compatibility"
	noteOwner   = "NVIDIA Corporation"

	elfHeader   = 64       // bytes of an Elf64_Ehdr and of an Elf64_Shdr (elf(5))
	maxSections = 512      // a libcuda has about 40
	maxNames    = 64 << 10 // bytes of section names
	maxNote     = 4 << 10
	maxELF      = 1 << 40 // bytes into a file
	maxBranches = 64
)

// errNoNote: the library carries no note; those before about 2025 do not.
var errNoNote = errors.New("no " + noteSection)

// noteOf reads a library's note where the files can be read at any place: a layer that streams by cannot, and tells none.
func noteOf(files Files, library string) *Note {
	opener, ok := files.(interface {
		Open(path string) (*os.File, error)
	})
	if !ok {
		return nil
	}
	f, err := opener.Open(library)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	note, err := readNote(f)
	if err != nil {
		return nil
	}
	return &note
}

// readNote reads the note of a 64-bit little-endian ELF file. It reads the header, the section headers, their names and
// the note, all bounded: the file is the image's.
func readNote(r io.ReaderAt) (Note, error) {
	sections, names, err := readSections(r)
	if err != nil {
		return Note{}, err
	}
	for _, s := range sections {
		const shtNote = 7
		if s.kind != shtNote || uint64(s.name) >= uint64(len(names)) || !bytes.HasPrefix(names[s.name:], []byte(noteSection+"\x00")) {
			continue
		}
		data, err := readAt(r, s.offset, min(s.size, maxNote))
		if err != nil {
			return Note{}, err
		}
		return parseNote(data)
	}
	return Note{}, errNoNote
}

// section is what is used of an Elf64_Shdr; name is the place of its name among the names.
type section struct {
	name, kind   uint32
	offset, size uint64
}

func readSections(r io.ReaderAt) (sections []section, names []byte, err error) {
	head, err := readAt(r, 0, elfHeader)
	if err != nil {
		return nil, nil, err
	}
	if string(head[:6]) != "\x7fELF\x02\x01" {
		return nil, nil, errors.New("not a 64-bit little-endian ELF file")
	}
	le := binary.LittleEndian
	at, size, count, ofNames := le.Uint64(head[40:]), le.Uint16(head[58:]), le.Uint16(head[60:]), le.Uint16(head[62:])
	if size != elfHeader || count > maxSections || ofNames >= count {
		return nil, nil, fmt.Errorf("%d section headers of %d bytes", count, size)
	}
	headers, err := readAt(r, at, uint64(count)*elfHeader)
	if err != nil {
		return nil, nil, err
	}
	for h := range slices.Chunk(headers, elfHeader) {
		sections = append(sections, section{le.Uint32(h), le.Uint32(h[4:]), le.Uint64(h[24:]), le.Uint64(h[32:])})
	}
	names, err = readAt(r, sections[ofNames].offset, min(sections[ofNames].size, maxNames))
	return sections, names, err
}

// readAt reads exactly so many bytes.
func readAt(r io.ReaderAt, at, size uint64) ([]byte, error) {
	if at > maxELF {
		return nil, fmt.Errorf("offset %d", at)
	}
	data := make([]byte, size)
	n, err := r.ReadAt(data, int64(at))
	if n < len(data) {
		return nil, fmt.Errorf("read %d bytes at %d: %w", size, at, err)
	}
	return data, nil
}

// parseNote reads an Elf64_Nhdr, the owner, and the JSON behind it. The owner is padded with zeros, to as many bytes as the
// section is aligned to.
func parseNote(data []byte) (Note, error) {
	if len(data) < 12 {
		return Note{}, errors.New("note: too short")
	}
	le := binary.LittleEndian
	owner, length, rest := uint64(le.Uint32(data)), uint64(le.Uint32(data[4:])), data[12:]
	if owner > uint64(len(rest)) || string(bytes.TrimRight(rest[:owner], "\x00")) != noteOwner {
		return Note{}, errors.New("note: not NVIDIA's")
	}
	rest = bytes.TrimLeft(rest[owner:], "\x00")
	if length > uint64(len(rest)) {
		return Note{}, errors.New("note: cut off")
	}
	var said struct {
		CUDA   string `json:"CUDA version"`
		Driver []int  `json:"driver"`
	}
	if err := json.Unmarshal(bytes.TrimRight(rest[:length], "\x00"), &said); err != nil {
		return Note{}, fmt.Errorf("note: %w", err)
	}
	if said.CUDA == "" || len(said.CUDA) > 16 || len(said.Driver) > maxBranches {
		return Note{}, errors.New("note: tells no CUDA version, or too much")
	}
	return Note{CUDA: said.CUDA, Branches: slices.Clip(said.Driver)}, nil
}

// Serves tells whether the library serves a branch of the kernel driver.
func (n Note) Serves(branch int) bool { return slices.Contains(n.Branches, branch) }
