package erofs

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/fledge-build/fledge/internal/erofspack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// contentID names a content of all packs.
type contentID struct{ pack, content uint32 }

// data is the layout of the blocks of files.
type data struct {
	packs    []*erofspack.Reader
	blocks   [][]uint32              // by pack and content: the first block in the image, live, or unused
	repeated map[contentID]contentID // contents that are stored under another one's number
	end      uint64                  // block
	stats    *Stats
}

// What stands for a block of a content before it has one.
const (
	unused = 0
	live   = math.MaxUint32
)

func newData(packs []*erofspack.Reader, stats *Stats) *data {
	return &data{
		packs: packs, blocks: make([][]uint32, len(packs)), repeated: map[contentID]contentID{}, end: 1, stats: stats,
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
func (d *data) eachLive(f func(contentID, *erofspack.Content) error) error {
	for i, blocks := range d.blocks {
		for j, at := range blocks {
			id := contentID{uint32(i), uint32(j)}
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

// prefixed is a content with the first bytes of its digest, of which there is room for every content.
type prefixed struct {
	prefix uint64
	id     contentID
}

// deduplicate finds contents that an earlier pack has too. Within a pack there are none.
func (d *data) deduplicate() error {
	var all []prefixed
	err := d.eachLive(func(id contentID, c *erofspack.Content) error {
		all = append(all, prefixed{le.Uint64(c.Digest[:]), id})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b prefixed) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.id.pack, b.id.pack))
	})
	for i := 0; i < len(all); {
		same := i + 1
		for same < len(all) && all[same].prefix == all[i].prefix {
			same++
		}
		if err := d.compare(all[i:same]); err != nil {
			return err
		}
		i = same
	}
	return nil
}

// compare finds the same contents among those whose digests begin alike.
func (d *data) compare(list []prefixed) error {
	if len(list) == 1 {
		return nil
	}
	first := map[[32]byte]contentID{}
	for _, p := range list {
		c, err := d.packs[p.id.pack].Content(p.id.content)
		if err != nil {
			return fmt.Errorf("layer pack %s: %w", d.packs[p.id.pack].Name(), err)
		}
		if original, ok := first[c.Digest]; ok {
			d.repeated[p.id] = original
			d.stats.Shared += c.Size
			continue
		}
		first[c.Digest] = p.id
	}
	return nil
}

// place gives all contents their blocks.
func (d *data) place() error {
	return d.eachLive(func(id contentID, c *erofspack.Content) error {
		if d.end+uint64(c.Blocks) >= live {
			return fmt.Errorf("more than %d blocks of data, which is all that erofs can hold", uint32(live))
		}
		d.blocks[id.pack][id.content] = uint32(d.end)
		d.end += uint64(c.Blocks)
		return nil
	})
}

// find gives the content of a file, the first block of it in the image and its pack.
func (d *data) find(n *fstree.Node) (c erofspack.Content, block uint32, pack *erofspack.Reader, err error) {
	id := contentID{uint32(n.Layer), n.Content}
	if original, ok := d.repeated[id]; ok {
		id = original
	}
	pack = d.packs[id.pack]
	c, err = pack.Content(id.content)
	if err != nil {
		err = fmt.Errorf("layer pack %s: %w", pack.Name(), err)
	}
	return c, d.blocks[id.pack][id.content], pack, err
}

// copySize is how much is copied at a time.
const copySize = 1 << 20

// writeTo copies the blocks.
func (d *data) writeTo(ctx context.Context, w io.Writer) error {
	buf := make([]byte, copySize)
	return d.eachLive(func(id contentID, c *erofspack.Content) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.stats.Copied += uint64(c.Blocks) * blockSize
		return d.packs[id.pack].Copy(w, c, buf)
	})
}
