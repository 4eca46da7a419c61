package squashfs

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/fledge-build/fledge/internal/dedup"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// kind tells what the image does with a content of a pack.
type kind uint8

const (
	unused   kind = iota // no file of the image has it
	live                 // a file has it; where it goes is not decided yet
	empty                // no data
	blocks               // in blocks of its own: at is where they begin in the image
	tail                 // in a fragment block: at is its number << 32 and the offset in it
	repeated             // the same as one before: at is the number of the pack << 32 and of the content
)

// spot is where a content goes. There is one for each content of each pack, so it is small.
type spot struct {
	kind kind
	size uint32 // of a tail
	at   uint64
}

// run is a piece of a pack that is copied as it is.
type run struct {
	pack         int
	offset, size uint64
}

// fragment is an entry of the fragment table.
type fragment struct {
	start uint64 // in the image
	size  uint32 // on-disk size, with the uncompressed bit
}

// plan is the layout of the data section.
type plan struct {
	packs     []*layerpack.Reader
	spots     [][]spot // by pack and content
	runs      []run    // in the order of the image
	fragments []fragment
	start     uint64 // of the data in the image
	end       uint64
	repacked  *repack // fragment blocks made anew, which follow the runs; may be nil
	stats     *Stats
}

// newPlan decides what of the packs goes into the image and where, the data beginning at start.
func newPlan(tree *fstree.Tree, packs []*layerpack.Reader, start uint64, o Options, stats *Stats) (*plan, error) {
	p := &plan{packs: packs, spots: make([][]spot, len(packs)), start: start, end: start, stats: stats}
	if err := p.mark(tree.Root); err != nil {
		return nil, err
	}
	if err := p.deduplicate(); err != nil {
		return nil, err
	}
	var pieces [][]piece
	var used []uint64 // bytes in use, by fragment block of all packs
	for i := range packs {
		list, bytes, err := p.measure(i)
		if err != nil {
			return nil, fmt.Errorf("layer pack %s: %w", packs[i].File().Name(), err)
		}
		pieces, used = append(pieces, list), append(used, bytes...)
	}
	again := p.wasteful(pieces, used)
	tails := p.oldTails(again)
	first := 0
	for i := range packs {
		p.place(i, pieces[i], again[first:])
		first += len(packs[i].FragmentBlocks())
	}
	if len(tails) > 0 {
		var err error
		if p.repacked, err = p.repack(tails, o); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// mark finds the contents that files at or below dir have.
func (p *plan) mark(dir *fstree.Node) error {
	for _, d := range dir.Children() {
		switch n := d.Node; n.Type {
		case fstree.Directory:
			if err := p.mark(n); err != nil {
				return err
			}
		case fstree.Regular:
			if int(n.Layer) >= len(p.packs) || int(n.Content) >= p.packs[n.Layer].Contents() {
				return fmt.Errorf("%q has the content %d of layer %d, which is not among the packs", d.Name, n.Content, n.Layer)
			}
			if p.spots[n.Layer] == nil {
				p.spots[n.Layer] = make([]spot, p.packs[n.Layer].Contents())
			}
			p.spots[n.Layer][n.Content].kind = live
		}
	}
	return nil
}

// contentID names a content of all packs.
type contentID struct{ pack, content uint32 }

// deduplicate finds contents that an earlier pack has too. Within a pack there are none.
func (p *plan) deduplicate() error {
	used := 0
	for _, s := range p.spots {
		if s != nil {
			used++
		}
	}
	if used < 2 {
		return nil
	}
	var f dedup.Finder
	for i, spots := range p.spots {
		for j, s := range spots {
			if s.kind != live {
				continue
			}
			c, err := p.packs[i].Content(uint32(j))
			if err != nil {
				return err
			}
			f.Add(dedup.ID{Pack: uint32(i), Content: uint32(j)}, c.Digest)
		}
	}
	return f.Find(func(id dedup.ID) ([sha256.Size]byte, error) {
		c, err := p.packs[id.Pack].Content(id.Content)
		return c.Digest, err
	}, func(id, original dedup.ID) error {
		c, err := p.packs[id.Pack].Content(id.Content)
		p.stats.Shared += c.Size
		p.spots[id.Pack][id.Content] = spot{kind: repeated, at: uint64(original.Pack)<<32 | uint64(original.Content)}
		return err
	})
}

// piece is a part of a pack's data that the image needs: the blocks of a content, or a fragment block.
type piece struct {
	offset, size uint64
	fragment     bool
	number       uint32 // of the content or fragment block
}

// measure lists the pieces of pack i in the order of its data, and the bytes in use of each of its fragment blocks.
func (p *plan) measure(i int) ([]piece, []uint64, error) {
	pack := p.packs[i]
	fragments := pack.FragmentBlocks()
	used := make([]uint64, len(fragments))
	var pieces []piece
	for j := range p.spots[i] {
		s := &p.spots[i][j]
		if s.kind != live {
			continue
		}
		c, err := pack.Content(uint32(j))
		if err != nil {
			return nil, nil, err
		}
		switch {
		case c.Size == 0:
			s.kind = empty
		case c.Fragment != layerpack.NoFragment:
			*s = spot{kind: tail, size: uint32(c.Size), at: uint64(c.Fragment)<<32 | uint64(c.FragmentOffset)}
			used[c.Fragment] += c.Size
		default:
			s.kind = blocks
			pieces = append(pieces, piece{offset: c.Offset, size: diskSize(c.Blocks), number: uint32(j)})
		}
	}
	for j, bytes := range used {
		if bytes > 0 {
			f := fragments[j]
			pieces = append(pieces, piece{f.Offset, uint64(layerpack.DiskSize(f.Size)), true, uint32(j)})
		}
	}
	slices.SortFunc(pieces, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.size, b.size))
	})
	for j := 1; j < len(pieces); j++ {
		if a, b := pieces[j-1], pieces[j]; b.size > 0 && a.offset+a.size > b.offset {
			return nil, nil, fmt.Errorf("its data overlaps at byte %d; pack the layer again", b.offset)
		}
	}
	return pieces, used, nil
}

func diskSize(blocks []uint32) (total uint64) {
	for _, s := range blocks {
		total += uint64(layerpack.DiskSize(s))
	}
	return total
}

// maxDead is the share of the copied data, one in so many bytes, that may belong to files that are not in the image: a
// linked image is to be at most 1 % larger than one packed in one go.
const maxDead = 100

// partlyDead is a fragment block that holds tails that are not in the image.
type partlyDead struct {
	block        int
	dead, length uint64 // uncompressed bytes
	waste        uint64 // the dead bytes' share of the compressed size
}

// wasteful tells which fragment blocks are packed again instead of copied: as few as keep the dead data within maxDead,
// those with the largest dead share first, which cost the least for what they save. Blocks are numbered through all
// packs.
func (p *plan) wasteful(pieces [][]piece, used []uint64) []bool {
	var copied uint64
	var partly []partlyDead
	first := 0
	for i, list := range pieces {
		fragments := p.packs[i].FragmentBlocks()
		for _, piece := range list {
			copied += piece.size
			if !piece.fragment {
				continue
			}
			length, n := uint64(fragments[piece.number].Length), first+int(piece.number)
			if dead := length - min(used[n], length); dead > 0 {
				partly = append(partly, partlyDead{n, dead, length, piece.size * dead / length})
				p.stats.Dead += piece.size * dead / length
			}
		}
		first += len(fragments)
	}
	slices.SortFunc(partly, func(a, b partlyDead) int {
		return cmp.Or(cmp.Compare(b.dead*a.length, a.dead*b.length), cmp.Compare(a.block, b.block))
	})
	again := make([]bool, len(used))
	for _, b := range partly {
		if p.stats.Dead*maxDead <= copied {
			break
		}
		again[b.block] = true
		p.stats.Dead -= b.waste
		copied -= b.waste
	}
	return again
}

// place gives the pieces of pack i their place in the image, except for the fragment blocks that are packed again.
func (p *plan) place(i int, pieces []piece, again []bool) {
	fragments := p.packs[i].FragmentBlocks()
	number := make([]uint32, len(fragments)) // in the image, of those copied
	for _, piece := range pieces {
		switch {
		case !piece.fragment && piece.size > 0: // zeros take no space and begin nowhere
			p.spots[i][piece.number].at = p.end
		case piece.fragment && again[piece.number]:
			continue
		case piece.fragment:
			number[piece.number] = uint32(len(p.fragments))
			p.fragments = append(p.fragments, fragment{p.end, fragments[piece.number].Size})
		}
		p.copy(i, piece.offset, piece.size)
	}
	for j := range p.spots[i] {
		if s := &p.spots[i][j]; s.kind == tail && !again[s.at>>32] {
			s.at = uint64(number[s.at>>32])<<32 | s.at&(1<<32-1)
		}
	}
}

// copy adds a part of a pack to the image, to the last run where it follows it.
func (p *plan) copy(pack int, offset, size uint64) {
	p.end += size
	p.stats.Copied += size
	if n := len(p.runs); n > 0 && p.runs[n-1].pack == pack && p.runs[n-1].offset+p.runs[n-1].size == offset {
		p.runs[n-1].size += size
	} else if size > 0 {
		p.runs = append(p.runs, run{pack, offset, size})
	}
}

// find is where the content of a file is, and the pack and number it is stored under.
func (p *plan) find(n *fstree.Node) (spot, contentID) {
	id := contentID{uint32(n.Layer), n.Content}
	s := p.spots[id.pack][id.content]
	if s.kind == repeated {
		id = contentID{uint32(s.at >> 32), uint32(s.at)}
		s = p.spots[id.pack][id.content]
	}
	return s, id
}
