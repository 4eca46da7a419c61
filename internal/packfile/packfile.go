// Package packfile is the frame of layer packs: a magic number, data, an index, and a footer whose hash covers the index
// and the footer itself.
//
//	magic    8 bytes; the last one is the version
//	data
//	index
//	head     of the footer, of a size that the kind of pack says
//	SHA-256  of index and head
//	magic
package packfile

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// MagicSize is the length of a magic number, in bytes.
const MagicSize = 8

// ErrDamaged says that an index is not what was written.
var ErrDamaged = errors.New("the index is damaged or cut off; pack the layer again")

// Kind is a kind of pack.
type Kind struct {
	Magic    string // MagicSize bytes
	Name     string // for errors, with its article
	HeadSize int    // bytes of the footer's head
}

// FooterSize is the length of the footer, in bytes.
func (k Kind) FooterSize() int64 { return int64(k.HeadSize + sha256.Size + MagicSize) }

// WriteIndex ends a pack whose data ends at the offset at: it writes what write puts out, and the footer with head. Errors
// of the writer given to write may be ignored: they come back from WriteIndex.
func (k Kind) WriteIndex(f io.WriterAt, at int64, head []byte, write func(w io.Writer)) error {
	h := sha256.New()
	out := bufio.NewWriterSize(io.NewOffsetWriter(f, at), 256<<10) // its first error sticks
	w := io.MultiWriter(h, out)
	write(w)
	w.Write(head)
	out.Write(h.Sum(nil))
	out.WriteString(k.Magic)
	return out.Flush()
}

// Check looks whether f is a whole pack and verifies its index. decode reads the footer's head of a file of size bytes and
// tells where the index begins; its error becomes one of ErrDamaged.
func (k Kind) Check(f *os.File, decode func(head []byte, size int64) (index int64, err error)) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size < MagicSize+k.FooterSize() {
		return errors.New("too short for a layer pack")
	}
	var magic [MagicSize]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil {
		return err
	}
	if string(magic[:]) != k.Magic {
		return errors.New("not " + k.Name + " of this version")
	}
	foot := make([]byte, k.FooterSize())
	if _, err := f.ReadAt(foot, size-k.FooterSize()); err != nil {
		return err
	}
	head, sum := foot[:k.HeadSize], foot[k.HeadSize:len(foot)-MagicSize]
	if string(foot[len(foot)-MagicSize:]) != k.Magic {
		return ErrDamaged
	}
	index, err := decode(head, size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	h := sha256.New()
	section := io.NewSectionReader(f, index, size-sha256.Size-MagicSize-index)
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{section}, make([]byte, 256<<10)); err != nil {
		return err
	}
	if string(h.Sum(nil)) != string(sum) {
		return ErrDamaged
	}
	return nil
}
