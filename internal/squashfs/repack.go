package squashfs

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// repack holds fragment blocks that were made from the live tails of others. They wait in a nameless temporary file,
// since there may be many.
type repack struct {
	file *os.File
	size uint64
}

func (r *repack) writeTo(w io.Writer) error {
	_, err := io.Copy(w, io.NewSectionReader(r.file, 0, int64(r.size)))
	return err
}

func (r *repack) close() {
	if r != nil {
		r.file.Close()
	}
}

// oldTail is a live tail in a fragment block that is packed again.
type oldTail struct {
	contentID
	fragment, offset uint32 // in its pack
}

// repack packs tails into new fragment blocks, in their order, and adds these to the end of the data.
func (p *plan) repack(tails []oldTail, o Options) (*repack, error) {
	file, err := os.CreateTemp(o.TempDir, "fledge-fragments-")
	if err != nil {
		return nil, err
	}
	os.Remove(file.Name())
	workers, err := newPool(o.Codec, o.BlockSize, o.Jobs)
	if err != nil {
		file.Close()
		return nil, err
	}
	defer workers.close()
	r := &repacker{plan: p, pool: workers, out: &repack{file: file}, blockSize: o.BlockSize}
	if r.decoder, err = codec.NewDecoder(o.Codec.ID()); err == nil {
		err = r.run(tails)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return r.out, nil
}

// oldTails lists the live tails of the given fragment blocks in the order of packs, blocks and offsets.
func (p *plan) oldTails(again []bool) (list []oldTail) {
	for i, spots := range p.spots {
		for j, s := range spots {
			if s.kind == tail && again[s.at>>32] {
				list = append(list, oldTail{contentID{uint32(i), uint32(j)}, uint32(s.at >> 32), uint32(s.at)})
			}
		}
		again = again[len(p.packs[i].FragmentBlocks()):]
	}
	slices.SortFunc(list, func(a, b oldTail) int {
		return cmp.Or(cmp.Compare(a.pack, b.pack), cmp.Compare(a.fragment, b.fragment), cmp.Compare(a.offset, b.offset))
	})
	return list
}

type repacker struct {
	plan      *plan
	pool      *pool
	decoder   codec.Decoder
	out       *repack
	blockSize int
	disk, old []byte   // a fragment block as stored and as it was
	block     []byte   // the one being filled
	waiting   []*block // being compressed
}

func (r *repacker) run(tails []oldTail) error {
	for i, t := range tails {
		if i == 0 || tails[i-1].pack != t.pack || tails[i-1].fragment != t.fragment {
			if err := r.read(t); err != nil {
				return fmt.Errorf("layer pack %s: fragment block %d: %w", r.plan.packs[t.pack].File().Name(), t.fragment, err)
			}
		}
		s := &r.plan.spots[t.pack][t.content]
		if len(r.block)+int(s.size) > r.blockSize {
			if err := r.flush(); err != nil {
				return err
			}
		}
		number := len(r.plan.fragments) + len(r.waiting)
		s.at = uint64(number)<<32 | uint64(len(r.block))
		r.block = append(r.block, r.old[t.offset:t.offset+s.size]...)
	}
	if err := r.flush(); err != nil {
		return err
	}
	return r.drain(0)
}

// read decompresses the fragment block of t.
func (r *repacker) read(t oldTail) error {
	pack := r.plan.packs[t.pack]
	f := pack.FragmentBlocks()[t.fragment]
	r.disk = slices.Grow(r.disk[:0], r.blockSize)[:layerpack.DiskSize(f.Size)]
	if _, err := pack.ReadAt(r.disk, int64(f.Offset)); err != nil {
		return err
	}
	if f.Size&layerpack.Uncompressed != 0 {
		r.old = append(r.old[:0], r.disk...)
	} else {
		var err error
		if r.old, err = r.decoder.Decode(r.old[:0], r.disk, int(f.Length)); err != nil {
			return err
		}
	}
	if len(r.old) != int(f.Length) {
		return fmt.Errorf("it holds %d bytes, not %d; pack the layer again", len(r.old), f.Length)
	}
	return nil
}

// flush hands the block on.
func (r *repacker) flush() error {
	if len(r.block) > 0 {
		r.waiting = append(r.waiting, r.pool.submit(r.block))
		r.block = r.block[:0]
	}
	return r.drain(cap(r.pool.queue))
}

// drain puts finished blocks out until at most keep are being compressed.
func (r *repacker) drain(keep int) error {
	for ; len(r.waiting) > keep; r.waiting = r.waiting[1:] {
		b := r.waiting[0]
		if <-b.done; b.err != nil {
			return fmt.Errorf("compress a fragment block: %w", b.err)
		}
		size := uint32(len(b.data))
		if b.stored {
			size |= layerpack.Uncompressed
		}
		if _, err := r.out.file.Write(b.data); err != nil {
			return err
		}
		r.plan.fragments = append(r.plan.fragments, fragment{r.plan.end, size})
		r.plan.end += uint64(len(b.data))
		r.out.size += uint64(len(b.data))
		r.plan.stats.Repacked++
	}
	return nil
}
