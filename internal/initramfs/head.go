package initramfs

import (
	"fmt"
	"io"
	"slices"

	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/fstree"
)

// headSize is about how large a segment of entries without data grows, in bytes.
const headSize = 1 << 20

// record is an entry of the archive that has no data, under all its names.
type record struct {
	node  *fstree.Node
	names []string
}

// heads lists what has no data, segment by segment: all directories before anything else, since the kernel drops an entry
// without its directory.
func (l *linker) heads() [][]record {
	var segments [][]record
	var last []record
	size := 0
	add := func(r record) {
		last = append(last, r)
		for _, name := range r.names {
			size += 120 + len(name) + len(r.node.Link())
		}
		if size > headSize {
			segments, last, size = append(segments, last), nil, 0
		}
	}
	for path, n := range l.tree.All() {
		if n.Type == fstree.Directory {
			add(record{n, []string{path}})
		}
	}
	for path, n := range l.tree.All() {
		switch {
		case n.Type == fstree.Directory || l.hasData(n):
		case n.Links < 2:
			add(record{n, []string{path}})
		case l.linked[n] != nil:
			names := l.linked[n]
			delete(l.linked, n)
			slices.Sort(names)
			add(record{n, names})
		}
	}
	return append(segments, last)
}

// writeHead writes a segment of entries without data.
func writeHead(w io.Writer, records []record) error {
	archive := cpio.NewWriter(w)
	for _, r := range records {
		h, err := header(r.node)
		if err != nil {
			return fmt.Errorf("%q: %w", r.names[0], err)
		}
		if r.node.Type == fstree.Directory {
			h.Links, h.Inode = 1, 1 // with more links libarchive takes the same number for a hard link, of folders too
		} else {
			cpiopack.SetInode(&h, r.names)
		}
		for _, name := range r.names {
			h.Name = name
			if err := archive.WriteHeader(&h); err != nil {
				return err
			}
			if _, err := io.WriteString(archive, r.node.Link()); err != nil {
				return err
			}
		}
	}
	return archive.Flush()
}

// writeTrailer ends the archive.
func writeTrailer(w io.Writer) error { return cpio.NewWriter(w).Close() }

func header(n *fstree.Node) (cpio.Header, error) {
	h := cpio.Header{UID: n.UID, GID: n.GID, Size: int64(len(n.Link()))}
	h.ModTime, _ = cpiopack.ClampTime(n.ModTime)
	h.Major, h.Minor = n.Device()
	kind := map[fstree.Type]uint32{
		fstree.Regular: cpio.TypeRegular, fstree.Directory: cpio.TypeDir, fstree.Symlink: cpio.TypeSymlink,
		fstree.CharDevice: cpio.TypeChar, fstree.BlockDevice: cpio.TypeBlock, fstree.FIFO: cpio.TypeFIFO,
		fstree.Socket: cpio.TypeSocket,
	}[n.Type]
	h.Mode = kind | uint32(n.Mode)
	// The kernel's device numbers have 12 bits for the major and 20 for the minor number.
	if h.Major >= 1<<12 || h.Minor >= 1<<20 {
		return h, fmt.Errorf("device %d:%d: Linux has numbers up to %d:%d", h.Major, h.Minor, 1<<12-1, 1<<20-1)
	}
	return h, nil
}
