package erofspack

import (
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"sync/atomic"
)

// pipeline makes blocks of segments on several goroutines and writes them in the order in which they came. One goroutine
// feeds it; the fields without a note belong to the writing goroutine until end returned.
type pipeline struct {
	f     *os.File
	free  chan *segment // not in use
	plain *encoder      // of uncompressed packs, which need no goroutine for it, or nil
	work  chan *segment
	order chan task
	done  chan struct{}             // closed when everything is written
	fault atomic.Pointer[pipeError] // the first error; what comes after it is thrown away

	pos     uint64   // number of the block that is written next
	extents []Extent // of all kept files
	file    current
	tails   tailBlocks
}

type pipeError struct{ err error }

// current is the file being written.
type current struct {
	start   uint64 // its first block
	extents []Extent
	crc     uint32 // of its blocks
	zeros   uint64 // bytes in chunks of zeros
	tail    []byte
}

// task is one step of the writing goroutine.
type task struct {
	kind    taskKind
	segment *segment // of segmentTask
	record  *record  // of keepTask
}

type taskKind uint8

const (
	segmentTask taskKind = iota // write a segment of the current file
	keepTask                    // the current file is complete; its place goes into the record
	dropTask                    // the current file is there already: its blocks are to be overwritten
)

func newPipeline(f *os.File, o Options) *pipeline {
	n := o.Jobs + 2
	p := &pipeline{
		f: f, free: make(chan *segment, n), work: make(chan *segment, n), order: make(chan task, n),
		done: make(chan struct{}), pos: 1, file: current{start: 1},
	}
	for range n {
		p.free <- &segment{ready: make(chan struct{}, 1)}
	}
	var running sync.WaitGroup
	if o.Codec.Name == "none" {
		p.plain, o.Jobs = newEncoder(o.Codec), 0
	}
	for range o.Jobs {
		e := newEncoder(o.Codec)
		running.Go(func() {
			for s := range p.work {
				if p.err() == nil {
					e.encode(s)
				}
				s.ready <- struct{}{}
			}
		})
	}
	go func() {
		p.write()
		running.Wait()
		close(p.done)
	}()
	return p
}

// take is a segment with room for size bytes.
func (p *pipeline) take(size int) *segment {
	s := <-p.free
	if cap(s.src) < size {
		s.src = make([]byte, size)
	}
	s.src = s.src[:size]
	return s
}

func (p *pipeline) submit(s *segment) {
	if p.plain != nil {
		p.plain.encode(s)
		s.ready <- struct{}{}
	} else {
		p.work <- s
	}
	p.order <- task{kind: segmentTask, segment: s}
}

// end waits until everything is written. Nothing may be submitted afterwards.
func (p *pipeline) end() error {
	close(p.work)
	close(p.order)
	<-p.done
	return p.err()
}

// err is the first error so far.
func (p *pipeline) err() error {
	if e := p.fault.Load(); e != nil {
		return e.err
	}
	return nil
}

// write is the life of the writing goroutine.
func (p *pipeline) write() {
	for t := range p.order {
		if t.segment != nil {
			<-t.segment.ready
		}
		if p.err() == nil {
			if err := p.step(t); err != nil {
				p.fault.CompareAndSwap(nil, &pipeError{err})
			}
		}
		if t.segment != nil {
			p.free <- t.segment
		}
	}
	if p.err() == nil {
		if err := p.tails.flush(p); err != nil {
			p.fault.CompareAndSwap(nil, &pipeError{err})
		}
	}
}

func (p *pipeline) step(t task) error {
	switch t.kind {
	case segmentTask:
		s := t.segment
		for _, e := range s.extents {
			if e.Kind == Data || e.Kind == Hole {
				p.file.extents = appendRun(p.file.extents, e)
			} else {
				p.file.extents = append(p.file.extents, e)
			}
		}
		p.file.tail = append(p.file.tail[:0], s.tail...)
		p.file.zeros += s.zeros
		return p.writeBlocks(s.out)
	case keepTask:
		if err := p.keep(t.record); err != nil {
			return err
		}
	case dropTask:
		p.pos = p.file.start
	}
	p.file = current{start: p.pos, extents: p.file.extents[:0], tail: p.file.tail[:0]}
	return nil
}

// writeBlocks continues the current file with whole blocks.
func (p *pipeline) writeBlocks(b []byte) error {
	if _, err := p.f.WriteAt(b, int64(p.pos)*BlockSize); err != nil {
		return err
	}
	p.pos += uint64(len(b)) / BlockSize
	p.file.crc = crc32.Update(p.file.crc, castagnoli, b)
	return nil
}

// keep decides on the layout of the current file and fills in its record.
func (p *pipeline) keep(r *record) error {
	if err := p.leaveCompression(r); err != nil {
		return err
	}
	r.Layout = p.layout()
	if r.Layout == Chunked || len(p.file.tail) > MaxTail {
		padded := make([]byte, blocksOf(uint64(len(p.file.tail)))*BlockSize)
		copy(padded, p.file.tail)
		p.file.tail = p.file.tail[:0]
		if err := p.writeBlocks(padded); err != nil {
			return err
		}
	}
	if p.pos-p.file.start > 1<<32-1 {
		return fmt.Errorf("a file has %d blocks, more than 32 bits can count", p.pos-p.file.start)
	}
	r.Blocks, r.crc = uint32(p.pos-p.file.start), p.file.crc
	if r.Blocks > 0 {
		r.Block = p.file.start
	}
	if r.Layout != Flat {
		r.firstExtent, r.extents = uint32(len(p.extents)), uint32(len(p.file.extents))
		p.extents = append(p.extents, p.file.extents...)
	}
	r.Tail, r.tailCRC = len(p.file.tail), crc32.Checksum(p.file.tail, castagnoli)
	var err error
	r.tailAt, err = p.tails.add(p, p.file.tail)
	return err
}

// layout is the layout of the current file by its extents. Without holes and compression it is flat.
func (p *pipeline) layout() Layout {
	layout := Flat
	for _, e := range p.file.extents {
		switch e.Kind {
		case Hole:
			return Chunked
		case Compressed:
			return LZ4
		}
	}
	return layout
}

// tailBlocks gathers tails, which have no blocks of their own, in blocks of the pack.
type tailBlocks struct {
	start uint64 // number of the first block, which is reserved; 0 for none
	buf   []byte
}

// tailRun is the number of blocks that are reserved at a time.
const tailRun = 16

// add puts a tail into the pack and gives its place.
func (t *tailBlocks) add(p *pipeline, tail []byte) (at uint64, err error) {
	if len(tail) == 0 {
		return 0, nil
	}
	if len(t.buf)+len(tail) > tailRun*BlockSize {
		if err := t.flush(p); err != nil {
			return 0, err
		}
	}
	if t.start == 0 {
		t.start = p.pos
		p.pos += tailRun
	}
	at = t.start*BlockSize + uint64(len(t.buf))
	t.buf = append(t.buf, tail...)
	return at, nil
}

// flush writes the reserved blocks. Those at the end of the pack are only as many as needed.
func (t *tailBlocks) flush(p *pipeline) error {
	if t.start == 0 {
		return nil
	}
	blocks := uint64(tailRun)
	if t.start+tailRun == p.pos {
		blocks = blocksOf(uint64(len(t.buf)))
		p.pos = t.start + blocks
	}
	t.buf = append(t.buf, make([]byte, blocks*BlockSize-uint64(len(t.buf)))...)
	_, err := p.f.WriteAt(t.buf, int64(t.start)*BlockSize)
	t.start, t.buf = 0, t.buf[:0]
	return err
}
