package ext4

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/fstree"
)

// writer writes an image from front to back, heads where they belong.
type writer struct {
	ctx         context.Context
	w           *bufio.Writer
	p           *plan
	block       uint64 // the next one
	descriptors []byte
	zeros       []byte
}

// bufferSize is that of what collects single blocks.
const bufferSize = 256 << 10

func newWriter(ctx context.Context, w io.Writer, p *plan) *writer {
	return &writer{
		ctx: ctx, w: bufio.NewWriterSize(w, bufferSize), p: p, descriptors: p.descriptors(), zeros: make([]byte, 256*blockSize),
	}
}

func (w *writer) run(jobs int) error {
	if err := w.tables(); err != nil {
		return err
	}
	if err := w.directories(); err != nil {
		return err
	}
	if err := w.files(jobs); err != nil {
		return err
	}
	if err := w.fill(w.p.total); err != nil {
		return err
	}
	return w.w.Flush()
}

// tables writes what describes blocks and inodes, and the journal.
func (w *writer) tables() error {
	p := w.p
	for group := range p.groups {
		if err := w.put(p.blockBitmap(group)); err != nil {
			return err
		}
	}
	for group := range p.groups {
		if err := w.put(p.inodeBitmap(group)); err != nil {
			return err
		}
	}
	for group := range p.groups {
		if err := w.fill(p.tables[group]); err != nil {
			return err
		}
		if err := w.put(p.table(group)); err != nil {
			return err
		}
	}
	if err := w.put(p.resizeBlock()); err != nil {
		return err
	}
	if p.journal.blocks == 0 {
		return nil
	}
	if err := w.put(p.journalHead()); err != nil {
		return err
	}
	if err := w.fill(p.after(p.journal.start, uint64(p.journal.blocks))); err != nil {
		return err
	}
	return w.nodes(&p.journal, journalInode)
}

// directories writes blocks of attributes, directories and long symlinks.
func (w *writer) directories() error {
	p := w.p
	for _, x := range p.xattrs.list {
		if err := w.put(x.encode(p.sum)); err != nil {
			return err
		}
	}
	for j := range p.inodes {
		i := &p.inodes[j]
		if i.node.Type == fstree.Regular || i.blocks == 0 {
			continue
		}
		var data []byte
		if i.node.Type == fstree.Symlink {
			data = []byte(i.node.Link())
		} else {
			l, err := layOutDir(p.entries(i), p.hashSeed)
			if err != nil {
				return err
			}
			data = l.encode(number(j), i.parent, p.inodeSeed(number(j)))
		}
		if err := w.putPadded(data); err != nil {
			return err
		}
		if err := w.nodes(i, number(j)); err != nil {
			return err
		}
	}
	return nil
}

// nodes writes the blocks of an inode's extent tree.
func (w *writer) nodes(i *inode, number uint32) error {
	if i.nodes == 0 {
		return nil
	}
	for _, b := range w.p.tree(i, number).blocks {
		if err := w.put(b); err != nil {
			return err
		}
	}
	return nil
}

// put writes whole blocks.
func (w *writer) put(b []byte) error {
	for len(b) > 0 {
		if err := w.head(); err != nil {
			return err
		}
		n := w.p.contiguous(w.block, uint64(len(b))/blockSize)
		if err := w.write(b[:n*blockSize]); err != nil {
			return err
		}
		b = b[n*blockSize:]
	}
	return nil
}

// putPadded writes b and zeros up to the end of a block.
func (w *writer) putPadded(b []byte) error {
	whole := len(b) / blockSize * blockSize
	if err := w.put(b[:whole]); err != nil || whole == len(b) {
		return err
	}
	last := make([]byte, blockSize)
	copy(last, b[whole:])
	return w.put(last)
}

// fill writes zeros, and heads, up to a block.
func (w *writer) fill(end uint64) error {
	for w.block < end {
		if err := w.head(); err != nil {
			return err
		}
		if w.block >= end {
			break
		}
		n := w.p.contiguous(w.block, min(end-w.block, uint64(len(w.zeros))/blockSize))
		if err := w.write(w.zeros[:n*blockSize]); err != nil {
			return err
		}
	}
	if w.block > end {
		return fmt.Errorf("ext4: block %d was to be written at %d", end, w.block)
	}
	return nil
}

// head writes the head of a group if the next block begins one.
func (w *writer) head() error {
	p := w.p
	if p.skip(w.block) == w.block {
		return nil
	}
	group := w.block / p.blocksPerGroup
	first := make([]byte, blockSize)
	at := 0
	if group == 0 {
		at = superOffset
	}
	copy(first[at:], p.super(group))
	if err := w.write(first); err != nil {
		return err
	}
	if err := w.write(w.descriptors); err != nil {
		return err
	}
	for i := range p.reserved() {
		b := w.zeros[:blockSize]
		if group == 0 {
			b = p.reservedBlock(i)
		}
		if err := w.write(b); err != nil {
			return err
		}
	}
	return nil
}

// write writes whole blocks as they are.
func (w *writer) write(b []byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.block += uint64(len(b) / blockSize)
	_, err := w.w.Write(b)
	return err
}
