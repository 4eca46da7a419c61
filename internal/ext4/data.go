package ext4

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/layerpack"
)

const (
	batchSize = 1 << 20  // of a pack, read at once
	batchGap  = 64 << 10 // read along with what is wanted on both sides
	maxJobs   = 16
	// freeBuffers are kept for other batches: without them the collection of garbage takes an eighth of the time.
	freeBuffers = 4
)

// use is a part of an unpacked block that goes into the image.
type use struct {
	offset, size int
	inode        uint32 // its index among the plan's
	last         bool   // the end of its file
}

// block is a block of a pack on its way into the image. Data and err may be read once done is closed.
type block struct {
	pack   int32
	at     uint64 // in the pack
	size   uint32 // on disk, with the bit for what is stored as it is
	length int    // unpacked
	uses   []use
	data   []byte
	buffer []byte // of the batch that it ends: free for another once the block is written
	done   chan struct{}
	err    error
}

func (b *block) end() uint64 { return b.at + uint64(layerpack.DiskSize(b.size)) }

// loader reads the blocks of all files, in the order of the image, and has them unpacked on several cores.
type loader struct {
	ctx    context.Context
	p      *plan
	order  chan *block // all, in order
	unpack chan *block // those that are compressed, in any order
	batch  []*block    // to be read at once
	free   chan []byte // buffers of batches
}

// files writes the data of all files.
func (w *writer) files(jobs int) error {
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	jobs = min(jobs, maxJobs)
	group, ctx := errgroup.WithContext(w.ctx)
	l := &loader{ctx: ctx, p: w.p, order: make(chan *block, 2*jobs), unpack: make(chan *block, jobs), free: make(chan []byte, freeBuffers)}
	group.Go(func() error {
		defer close(l.order)
		defer close(l.unpack)
		return l.run()
	})
	for range jobs {
		group.Go(l.work)
	}
	group.Go(func() error {
		for b := range l.order {
			select {
			case <-b.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := w.file(b); err != nil {
				return err
			}
			l.release(b)
		}
		return nil
	})
	return group.Wait()
}

// file writes what the image has of a block.
func (w *writer) file(b *block) error {
	if b.err != nil {
		return w.p.fail(b.pack, b.err)
	}
	for _, u := range b.uses {
		if err := w.putPadded(b.data[u.offset:][:u.size]); err != nil {
			return err
		}
		if u.last {
			if err := w.nodes(&w.p.inodes[u.inode], number(int(u.inode))); err != nil {
				return err
			}
		}
	}
	return nil
}

// fail names the pack at fault.
func (p *plan) fail(pack int32, err error) error {
	return fmt.Errorf("layer pack %s: %w", p.packs[pack].File().Name(), err)
}

// run reads the blocks of all files.
func (l *loader) run() error {
	for files := l.p.files; len(files) > 0; {
		n := 1
		if files[0].fragment == layerpack.NoFragment {
			if err := l.blocks(&files[0]); err != nil {
				return err
			}
		} else {
			for n < len(files) && files[n].pack == files[0].pack && files[n].fragment == files[0].fragment {
				n++
			}
			if err := l.fragmentBlock(files[:n]); err != nil {
				return err
			}
		}
		files = files[n:]
	}
	return l.flush()
}

// blocks reads a file that has blocks of its own.
func (l *loader) blocks(f *file) error {
	pack := l.p.packs[f.pack]
	c, err := pack.Content(f.content)
	if err != nil {
		return l.p.fail(f.pack, err)
	}
	var last *block
	at, size := c.Offset, uint64(pack.BlockSize())
	for i, disk := range c.Blocks {
		if disk == 0 {
			continue
		}
		length := int(min(size, c.Size-uint64(i)*size))
		b := &block{pack: f.pack, at: at, size: disk, length: length, uses: []use{{0, length, f.inode, false}}}
		at = b.end()
		if last != nil {
			if err := l.add(last); err != nil {
				return err
			}
		}
		last = b
	}
	if last == nil {
		return nil
	}
	last.uses[0].last = true
	return l.add(last)
}

// fragmentBlock reads a fragment block for the files in it.
func (l *loader) fragmentBlock(files []file) error {
	f := l.p.packs[files[0].pack].FragmentBlocks()[files[0].fragment]
	b := &block{pack: files[0].pack, at: f.Offset, size: f.Size, length: int(f.Length)}
	for _, f := range files {
		b.uses = append(b.uses, use{int(f.offset), int(l.p.inodes[f.inode].size), f.inode, true})
	}
	return l.add(b)
}

// add takes a block into the batch.
func (l *loader) add(b *block) error {
	b.done = make(chan struct{})
	if n := len(l.batch); n > 0 {
		first, last := l.batch[0], l.batch[n-1]
		if b.pack != last.pack || b.at < last.end() || b.at > last.end()+batchGap || b.end()-first.at > batchSize {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
	l.batch = append(l.batch, b)
	return nil
}

// flush reads the batch and hands its blocks on.
func (l *loader) flush() error {
	if len(l.batch) == 0 {
		return nil
	}
	first, last := l.batch[0], l.batch[len(l.batch)-1]
	buf := l.take(int(last.end() - first.at))
	if _, err := l.p.packs[first.pack].ReadAt(buf, int64(first.at)); err != nil {
		return l.p.fail(first.pack, err)
	}
	for _, b := range l.batch {
		b.data = buf[b.at-first.at : b.end()-first.at]
		if b == last {
			b.buffer = buf
		}
		if b.size&layerpack.Uncompressed != 0 {
			b.check()
		} else if err := send(l.ctx, l.unpack, b); err != nil {
			return err
		}
		if err := send(l.ctx, l.order, b); err != nil {
			return err
		}
	}
	l.batch = l.batch[:0]
	return nil
}

// take is a buffer of size bytes.
func (l *loader) take(size int) []byte {
	select {
	case buf := <-l.free:
		if cap(buf) >= size {
			return buf[:size]
		}
	default:
	}
	return make([]byte, size, max(size, batchSize))
}

// release gives the buffer back that only b and blocks before it had a part of.
func (l *loader) release(b *block) {
	if b.buffer == nil {
		return
	}
	select {
	case l.free <- b.buffer:
	default:
	}
}

func send(ctx context.Context, to chan<- *block, b *block) error {
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work unpacks blocks.
func (l *loader) work() error {
	decoders := map[uint16]codec.Decoder{}
	for b := range l.unpack {
		id := l.p.packs[b.pack].Codec().ID()
		if decoders[id] == nil {
			d, err := codec.NewDecoder(id)
			if err != nil {
				return err
			}
			decoders[id] = d
		}
		b.data, b.err = decoders[id].Decode(make([]byte, 0, b.length), b.data, b.length)
		b.check()
	}
	return nil
}

// check ends the work on a block.
func (b *block) check() {
	if b.err == nil && len(b.data) != b.length {
		b.err = errors.New("a block has not the size that the index tells; pack the layer again")
	}
	close(b.done)
}
