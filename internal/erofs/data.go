package erofs

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"

	"github.com/fledge-build/fledge/internal/dedup"
	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// data is the layout of the blocks of files.
type data struct {
	packs    []*erofspack.Reader
	blocks   [][]uint32            // by pack and content: the first block in the image, live, or unused
	repeated map[dedup.ID]dedup.ID // contents that are stored under another one's number
	end      uint64                // block
	stats    *Stats
}

// What stands for a block of a content before it has one.
const (
	unused = 0
	live   = math.MaxUint32
)

func newData(packs []*erofspack.Reader, stats *Stats) *data {
	return &data{
		packs: packs, blocks: make([][]uint32, len(packs)), repeated: map[dedup.ID]dedup.ID{}, end: 1, stats: stats,
	}
}

// mark notes that a file has the content of n.
func (d *data) mark(n *fstree.Node) error {
	if int(n.Layer) >= len(d.packs) || int(n.Content) >= d.packs[n.Layer].Contents() {
		return fmt.Errorf("it has the content %d of layer %d, which is not among the packs", n.Content, n.Layer)
	}
	if d.blocks[n.Layer] == nil {
		d.blocks[n.Layer] = make([]uint32, d.packs[n.Layer].Contents())
	}
	d.blocks[n.Layer][n.Content] = live
	return nil
}

// eachLive calls f for the contents that files have, in the order of the packs.
func (d *data) eachLive(f func(dedup.ID, *erofspack.Content) error) error {
	for i, blocks := range d.blocks {
		for j, at := range blocks {
			id := dedup.ID{Pack: uint32(i), Content: uint32(j)}
			if _, ok := d.repeated[id]; ok || at == unused {
				continue
			}
			c, err := d.packs[i].Content(uint32(j))
			if err == nil {
				err = f(id, &c)
			}
			if err != nil {
				return fmt.Errorf("layer pack %s: %w", d.packs[i].Name(), err)
			}
		}
	}
	return nil
}

// deduplicate finds contents that an earlier pack has too. Within a pack there are none.
func (d *data) deduplicate() error {
	var f dedup.Finder
	err := d.eachLive(func(id dedup.ID, c *erofspack.Content) error {
		f.Add(id, c.Digest)
		return nil
	})
	if err != nil {
		return err
	}
	return f.Find(func(id dedup.ID) ([32]byte, error) {
		c, err := d.content(id)
		return c.Digest, err
	}, func(id, original dedup.ID) error {
		c, err := d.content(id)
		d.repeated[id] = original
		d.stats.Shared += c.Size
		return err
	})
}

func (d *data) content(id dedup.ID) (erofspack.Content, error) {
	c, err := d.packs[id.Pack].Content(id.Content)
	if err != nil {
		err = fmt.Errorf("layer pack %s: %w", d.packs[id.Pack].Name(), err)
	}
	return c, err
}

// place gives all contents their blocks.
func (d *data) place() error {
	return d.eachLive(func(id dedup.ID, c *erofspack.Content) error {
		if d.end+uint64(c.Blocks) >= live {
			return fmt.Errorf("more than %d blocks of data, which is all that erofs can hold", uint32(live))
		}
		d.blocks[id.Pack][id.Content] = uint32(d.end)
		d.end += uint64(c.Blocks)
		return nil
	})
}

// find gives the content of a file, the first block of it in the image and its pack.
func (d *data) find(n *fstree.Node) (c erofspack.Content, block uint32, pack *erofspack.Reader, err error) {
	id := dedup.ID{Pack: uint32(n.Layer), Content: n.Content}
	if original, ok := d.repeated[id]; ok {
		id = original
	}
	c, err = d.content(id)
	return c, d.blocks[id.Pack][id.Content], d.packs[id.Pack], err
}

// copySize is how much is copied at a time.
const copySize = 1 << 20

// writeTo copies the blocks: one goroutine reads and verifies what this one writes next.
func (d *data) writeTo(ctx context.Context, w io.Writer) error {
	from, to := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		to.CloseWithError(d.copyTo(ctx, to))
	}()
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{from}, make([]byte, copySize))
	from.CloseWithError(err) // ends the other goroutine
	<-done
	return err
}

// copyTo copies the blocks, in large pieces.
func (d *data) copyTo(ctx context.Context, w io.Writer) error {
	out, buf := bufio.NewWriterSize(w, copySize), make([]byte, copySize)
	err := d.eachLive(func(id dedup.ID, c *erofspack.Content) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.stats.Copied += uint64(c.Blocks) * blockSize
		return d.packs[id.Pack].Copy(out, c, buf)
	})
	return cmp.Or(err, out.Flush())
}
