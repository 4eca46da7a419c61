// Package initramfs links an initramfs from packed layers: a cpio archive in separately compressed segments, which the
// kernel unpacks one after the other. Segments of the packs are copied; only what has no data, and the segments of which a
// later layer hides or renames a file, are compressed. Format: the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst.
package initramfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// Options tell how an initramfs is linked.
type Options struct {
	Codec codec.Spec // of what is compressed here
	Jobs  int        // segments compressed at once; 0 is one a core. It does not change the initramfs.
}

// Stats tell what an initramfs holds.
type Stats struct {
	Size         int64 // bytes of the initramfs
	Unpacked     int64 // bytes of memory that it takes unpacked: files in whole pages, and an inode each
	Files        int   // regular files; the names of a hard link count once
	Directories  int
	Copied       int      // segments copied as they are
	Rewritten    int      // segments compressed again, since a later layer hides or renames a file of theirs
	Capabilities []string // paths of files that lose their security.capability, in the order of the tree
	Xattrs       int      // other extended attributes, which newc cannot carry either
	Clamped      int      // inodes whose time is outside of 1970 to 2106, which is all that newc can hold
}

// What a file takes in memory besides its data, in bytes, at most: inode and directory entry of ramfs or tmpfs.
const (
	pageSize  = 4096
	inodeSize = 1024
)

type linker struct {
	tree  *fstree.Tree
	packs []*cpiopack.Reader
	names []map[uint32][]string // by layer and content, sorted; of files with data
	// linked has the names of nodes that have several and no data.
	linked map[*fstree.Node][]string
	o      Options
	stats  Stats
	out    *output
}

// Link writes the initramfs of tree to w, in one pass from front to back. packs holds the layers' data, by layer number,
// nil for a layer without files. The initramfs depends on the tree, the packs and the codec alone.
func Link(ctx context.Context, w io.Writer, tree *fstree.Tree, packs []*cpiopack.Reader, o Options) (Stats, error) {
	l := &linker{tree: tree, packs: packs, o: o, linked: map[*fstree.Node][]string{}, out: &output{ctx: ctx, w: w}}
	if err := checkCodecs(packs, o.Codec); err != nil {
		return l.stats, err
	}
	if err := l.survey(); err != nil {
		return l.stats, err
	}
	queue := cpiopack.NewQueue(cpiopack.NewEncoders(o.Codec, o.Jobs))
	for _, records := range l.heads() {
		l.compress(queue, func(w io.Writer) error { return writeHead(w, records) })
	}
	for i, pack := range packs {
		if pack != nil {
			l.addSegments(queue, i, pack)
		}
	}
	l.compress(queue, writeTrailer)
	err := queue.Close()
	l.stats.Size = l.out.n
	return l.stats, err
}

// checkCodecs refuses lz4 beside other compressors: the kernel takes all that follows an lz4 stream for a part of it.
func checkCodecs(packs []*cpiopack.Reader, spec codec.Spec) error {
	for _, pack := range packs {
		if pack != nil && (pack.Codec().Name == "lz4") != (spec.Name == "lz4") {
			return fmt.Errorf("layer pack %s is compressed with %s, the initramfs with %s: lz4 cannot be mixed with others; "+
				"pack the layer with the initramfs's settings", pack.Name(), pack.Codec(), spec)
		}
	}
	return nil
}

// hasData tells whether n is a regular file that is not empty.
func (l *linker) hasData(n *fstree.Node) bool {
	return n.Type == fstree.Regular && l.packs[n.Layer].Contents()[n.Content].Size > 0
}

// survey finds the names of all files and counts.
func (l *linker) survey() error {
	l.names = make([]map[uint32][]string, len(l.packs))
	seen := map[*fstree.Node]bool{} // of nodes with several names
	for path, n := range l.tree.All() {
		if n.Type == fstree.Regular {
			if int(n.Layer) >= len(l.packs) || l.packs[n.Layer] == nil || int(n.Content) >= len(l.packs[n.Layer].Contents()) {
				return fmt.Errorf("%q has the content %d of layer %d, which is not among the packs", path, n.Content, n.Layer)
			}
			if l.hasData(n) {
				if l.names[n.Layer] == nil {
					l.names[n.Layer] = map[uint32][]string{}
				}
				l.names[n.Layer][n.Content] = append(l.names[n.Layer][n.Content], path)
			}
		}
		if n.Type != fstree.Directory && n.Links > 1 {
			if !l.hasData(n) {
				l.linked[n] = append(l.linked[n], path)
			}
			if seen[n] {
				continue
			}
			seen[n] = true
		}
		l.count(path, n)
	}
	for _, names := range l.names {
		for _, list := range names {
			slices.Sort(list)
		}
	}
	return nil
}

func (l *linker) count(path string, n *fstree.Node) {
	l.stats.Unpacked += inodeSize
	switch n.Type {
	case fstree.Directory:
		l.stats.Directories++
	case fstree.Regular:
		l.stats.Files++
		size := int64(l.packs[n.Layer].Contents()[n.Content].Size)
		l.stats.Unpacked += (size + pageSize - 1) / pageSize * pageSize
	}
	if _, exact := cpiopack.ClampTime(n.ModTime); !exact {
		l.stats.Clamped++
	}
	for _, x := range n.Xattrs() {
		if x.Name == "security.capability" {
			l.stats.Capabilities = append(l.stats.Capabilities, path)
		} else {
			l.stats.Xattrs++
		}
	}
}

// compress adds a segment that is compressed here.
func (l *linker) compress(queue *cpiopack.Queue, write func(io.Writer) error) {
	var out bytes.Buffer
	queue.Add(cpiopack.Job{
		Run: func(e *cpiopack.Encoder) error { return e.Compress(&out, write) },
		Done: func() error {
			return l.out.segment(l.o.Codec, func(w io.Writer) error {
				_, err := w.Write(out.Bytes())
				return err
			})
		},
	})
}

// maxBuffered is the largest segment that is compressed again in memory, in bytes.
const maxBuffered = 8 << 20

// addSegments adds what is left of the segments of a layer.
func (l *linker) addSegments(queue *cpiopack.Queue, layer int, pack *cpiopack.Reader) {
	names := l.names[layer]
	for i, seg := range pack.Segments() {
		var hash cpiopack.NamesHash
		alive := false
		for n := seg.First; n < seg.First+seg.Count; n++ {
			if pack.Contents()[n].Size > 0 {
				hash.Add(names[n])
				alive = alive || len(names[n]) > 0
			}
		}
		index := uint32(i)
		rename := func(w io.Writer) error { return pack.Rename(w, index, names) }
		switch sum := hash.Sum(); {
		case !alive:
		case sum == seg.Names:
			l.stats.Copied++
			queue.Add(cpiopack.Job{Done: func() error {
				return l.out.segment(pack.Codec(), func(w io.Writer) error { return pack.Copy(w, index) })
			}})
		case seg.Unpacked <= maxBuffered:
			l.stats.Rewritten++
			l.compress(queue, rename)
		default: // a large file: no faster, but without taking memory
			l.stats.Rewritten++
			queue.Add(cpiopack.Job{InTurn: true, Run: func(e *cpiopack.Encoder) error {
				return l.out.segment(l.o.Codec, func(w io.Writer) error { return e.Compress(w, rename) })
			}})
		}
	}
}

// output is the initramfs as it is written.
type output struct {
	ctx context.Context
	w   io.Writer
	n   int64
}

func (o *output) Write(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := o.w.Write(p)
	o.n += int64(n)
	return n, err
}

// segment writes the next segment, which is compressed with spec.
func (o *output) segment(spec codec.Spec, write func(io.Writer) error) error {
	switch {
	case spec.Name == "lz4" && o.n == 0:
		if _, err := io.WriteString(o, cpiopack.LZ4Magic); err != nil {
			return err
		}
	case spec.Name == "none" && o.n%4 != 0: // the kernel looks for uncompressed entries at multiples of 4 only
		if _, err := o.Write(make([]byte, 4-o.n%4)); err != nil {
			return err
		}
	}
	return write(o)
}
