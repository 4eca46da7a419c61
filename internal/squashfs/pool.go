package squashfs

import (
	"sync"

	"github.com/fledge-build/fledge/internal/codec"
)

// block is a block being compressed. Its other fields may be read once done is closed.
type block struct {
	done   chan struct{}
	data   []byte
	stored bool // data is as it was
	err    error
}

// pool compresses blocks on several cores. What comes out does not depend on how many.
type pool struct {
	queue chan task
	wg    sync.WaitGroup
	raw   sync.Pool // of *[]byte: blocks that have been compressed
}

type task struct {
	raw *[]byte
	out *block
}

// maxJobs is how many find something to do in a link.
const maxJobs = 16

// newPool starts jobs workers, 0 is one a core, for blocks of at most blockSize bytes. close must be called.
func newPool(spec codec.Spec, blockSize, jobs int) (*pool, error) {
	jobs = min(spec.Jobs(blockSize, jobs), maxJobs)
	p := &pool{queue: make(chan task, 2*jobs)}
	p.raw.New = func() any { b := make([]byte, 0, blockSize); return &b }
	for range jobs {
		enc, err := spec.NewEncoder(blockSize)
		if err != nil {
			p.close()
			return nil, err
		}
		p.wg.Go(func() { p.work(enc) })
	}
	return p, nil
}

func (p *pool) work(enc codec.Encoder) {
	var buf []byte
	for t := range p.queue {
		var err error
		buf, t.out.stored, err = codec.EncodeBlock(enc, buf[:0], *t.raw)
		t.out.data, t.out.err = append([]byte(nil), buf...), err
		p.raw.Put(t.raw)
		close(t.out.done)
	}
}

// submit compresses a copy of raw, some time later.
func (p *pool) submit(raw []byte) *block {
	t := task{p.raw.Get().(*[]byte), &block{done: make(chan struct{})}}
	*t.raw = append((*t.raw)[:0], raw...)
	p.queue <- t
	return t.out
}

func (p *pool) close() {
	close(p.queue)
	p.wg.Wait()
}
