package layerpack

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/fledge-build/fledge/internal/codec"
)

// pipeline compresses blocks on several goroutines and writes them in the order in which they came. One goroutine feeds
// it; the fields without a note belong to the writing goroutine until wait returned.
type pipeline struct {
	f     *os.File
	free  chan *block // blocks not in use
	work  chan *block
	order chan task
	done  chan struct{}             // closed when everything is written
	fault atomic.Pointer[pipeError] // the first error; what comes after it is thrown away

	pos       int64         // where the next block goes
	sizes     pages[uint32] // on-disk sizes of the blocks of all kept files
	fragments pages[FragmentBlock]
	checks    checks

	fileStart  int64 // pos, sizes.n and checks where the current file began
	fileSizes  int
	fileChecks checkMark
}

type pipeError struct{ err error }

// block is a block on its way. Its buffers are used again and again.
type block struct {
	src    []byte // uncompressed, with the capacity of the block size
	out    []byte // what goes into the pack
	stored bool
	err    error
	ready  chan struct{} // gets a value when out is there
}

// task is one step of the writing goroutine.
type task struct {
	kind   taskKind
	block  *block  // of blockTask and fragmentTask
	record *record // of keepTask
}

type taskKind uint8

const (
	blockTask    taskKind = iota // write a block of the current file
	holeTask                     // the current file has a block of zeros here
	keepTask                     // the current file is complete; its place goes into the record
	dropTask                     // the current file is there already: its blocks are to be overwritten
	fragmentTask                 // write a fragment block
)

// newPipeline starts jobs encoders and the writer; the first block goes to offset pos of f.
func newPipeline(f *os.File, pos int64, spec codec.Spec, blockSize, jobs int) (*pipeline, error) {
	// Twice as many blocks as encoders keep these busy while a slow block holds up the order.
	blocks := 2*jobs + 2
	p := &pipeline{
		f:         f,
		free:      make(chan *block, blocks),
		work:      make(chan *block, blocks),
		order:     make(chan task, blocks),
		done:      make(chan struct{}),
		pos:       pos,
		fileStart: pos,
	}
	p.checks.last.size = int(pos)
	p.fileChecks = p.checks.mark()
	encoders := make([]codec.Encoder, jobs)
	for i := range encoders {
		var err error
		if encoders[i], err = spec.NewEncoder(blockSize); err != nil {
			return nil, err
		}
	}
	for range blocks {
		p.free <- &block{ready: make(chan struct{}, 1)}
	}
	var running sync.WaitGroup
	for _, e := range encoders {
		running.Go(func() { p.encode(e) })
	}
	go func() {
		p.write()
		running.Wait()
		close(p.done)
	}()
	return p, nil
}

// take is a block to fill, with room for size bytes.
func (p *pipeline) take(size int) *block {
	b := <-p.free
	if cap(b.src) < size {
		b.src = make([]byte, 0, size)
	}
	b.src = b.src[:0]
	return b
}

// give returns a block that is not needed.
func (p *pipeline) give(b *block) { p.free <- b }

// submit compresses b and writes it, as a blockTask or a fragmentTask.
func (p *pipeline) submit(b *block, kind taskKind) {
	p.work <- b
	p.order <- task{kind: kind, block: b}
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

func (p *pipeline) fail(err error) { p.fault.CompareAndSwap(nil, &pipeError{err}) }

// encode is the life of an encoder.
func (p *pipeline) encode(e codec.Encoder) {
	for b := range p.work {
		if p.err() == nil {
			b.out, b.stored, b.err = codec.EncodeBlock(e, b.out[:0], b.src)
		}
		b.ready <- struct{}{}
	}
}

// write is the life of the writing goroutine.
func (p *pipeline) write() {
	for t := range p.order {
		if t.block != nil {
			<-t.block.ready
		}
		if p.err() == nil {
			if err := p.step(t); err != nil {
				p.fail(err)
			}
		}
		if t.block != nil {
			p.free <- t.block
		}
	}
}

func (p *pipeline) step(t task) error {
	switch t.kind {
	case holeTask:
		p.sizes.push(0)
	case blockTask:
		size, err := p.writeBlock(t.block)
		p.sizes.push(size)
		return err
	case fragmentTask:
		at := p.pos
		size, err := p.writeBlock(t.block)
		p.fragments.push(FragmentBlock{Offset: uint64(at), Size: size, Length: uint32(len(t.block.src))})
		p.fileStart, p.fileChecks = p.pos, p.checks.mark()
		return err
	case keepTask:
		t.record.a, t.record.b = uint64(p.fileStart), uint64(p.fileSizes)
		p.fileStart, p.fileSizes, p.fileChecks = p.pos, p.sizes.n, p.checks.mark()
	case dropTask:
		p.pos = p.fileStart
		p.sizes.truncate(p.fileSizes)
		p.checks.goBack(p.fileChecks)
	}
	return nil
}

// writeBlock writes b and returns its on-disk size.
func (p *pipeline) writeBlock(b *block) (uint32, error) {
	if b.err != nil {
		return 0, fmt.Errorf("compress: %w", b.err)
	}
	if _, err := p.f.WriteAt(b.out, p.pos); err != nil {
		return 0, err
	}
	p.pos += int64(len(b.out))
	p.checks.add(b.out)
	size := uint32(len(b.out))
	if b.stored {
		size |= Uncompressed
	}
	return size, nil
}
