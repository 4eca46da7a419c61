package squashfsread

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// maxPath bounds the length of a path, in bytes, and so the depth of the tree; Linux opens none above 4 KiB.
const maxPath = 16 << 10

// Reader reads an image. It keeps some 2 MiB of metadata and up to 8 MiB of fragment blocks; its methods must not be
// called concurrently.
type Reader struct {
	r       io.ReaderAt
	size    int64
	super   superblock
	decoder codec.Decoder
	options []string

	ids, fragments, export, xattrs *table
	inodes, dirs, keys             region
	inodeBytes, dirBytes           int64 // what inodes and dirs unpack to, at most

	scratch [metadataSize]byte
	blocks  map[int64]*metaBlock // by offset in the image
	order   []int64              // of blocks, a ring
	oldest  int                  // in order

	sums   map[uint64]int64 // bytes that the blocks of large files take, by reference
	listed int64            // bytes of the lists of these blocks

	used  map[uint32]uint32 // bytes of each fragment block that files use; nil before measure
	tails tailCache
}

var _ artifact.Artifact = (*Reader)(nil)

// Open reads the superblock and where the tables are, of an image of size bytes in r.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	super, err := readSuperblock(r, size)
	if err != nil {
		return nil, err
	}
	x := &Reader{r: r, size: size, super: super, blocks: make(map[int64]*metaBlock), sums: make(map[uint64]int64)}
	if x.decoder, err = newDecoder(super.compressor); err != nil {
		return nil, fmt.Errorf("squashfs: %w", err)
	}
	if err := x.readOptions(); err != nil {
		return nil, fmt.Errorf("squashfs: %w", err)
	}
	if err := x.openTables(); err != nil {
		return nil, fmt.Errorf("squashfs: %w", err)
	}
	return x, nil
}

// Walk gives the entry at path and what is below it.
func (r *Reader) Walk(path string) iter.Seq2[*artifact.Entry, error] {
	return func(yield func(*artifact.Entry, error) bool) {
		n, err := r.lookup(path)
		if err == nil && r.used == nil {
			err = r.measure()
		}
		if err != nil {
			yield(nil, fmt.Errorf("squashfs: %w", err))
			return
		}
		w := walker{r: r, seen: make(map[uint64]bool), visit: func(path string, n *inode, _ []dirent, _ []run) error {
			e, err := r.entry(path, n)
			if err == nil && !yield(e, nil) {
				return errStop
			}
			return err
		}}
		if err := w.walk(path, n); err != nil && err != errStop {
			yield(nil, fmt.Errorf("squashfs: %w", err))
		}
	}
}

// errStop ends a walk without an error.
var errStop = errors.New("stop")

// walker goes through a tree.
type walker struct {
	r      *Reader
	seen   map[uint64]bool // references of directories
	bytes  int64           // of listings
	runs   bool            // tell of them
	parent uint32          // number of the directory above, 0 for the first
	visit  func(path string, n *inode, list []dirent, runs []run) error
}

// walk visits n and all below it.
func (w *walker) walk(path string, n *inode) error {
	if n.kind != typeDir {
		if err := w.visit(path, n, nil, nil); err != nil {
			return at(path, err)
		}
		return nil
	}
	if w.seen[n.ref] {
		return at(path, fmt.Errorf("directory with inode %d for the second time", n.number))
	}
	w.seen[n.ref] = true
	// Listings do not overlap, so that the work is bounded by the size of the table.
	if w.bytes += int64(n.size); w.bytes > w.r.dirBytes {
		return at(path, errors.New("directories are larger together than the directory table"))
	}
	var runs []run
	want := &runs
	if !w.runs {
		want = nil
	}
	list, err := w.r.readListing(n, want)
	if err == nil {
		err = w.visit(path, n, list, runs)
	}
	if err != nil {
		return at(path, err)
	}
	above := w.parent
	defer func() { w.parent = above }()
	w.parent = n.number
	for _, d := range list {
		name := artifact.Join(path, d.name)
		if len(name) > maxPath {
			return fmt.Errorf("%.200q…: path of more than %d bytes", name, maxPath)
		}
		child, err := w.r.child(d)
		if err != nil {
			return at(name, err)
		}
		if err := w.walk(name, child); err != nil {
			return err
		}
	}
	return nil
}

// at adds the path to an error.
func at(path string, err error) error {
	if err == errStop {
		return err
	}
	return fmt.Errorf("%q: %w", path, err)
}

// lookup finds the inode at a path.
func (r *Reader) lookup(path string) (*inode, error) {
	n, err := r.readInode(r.super.root)
	if err != nil {
		return nil, fmt.Errorf("root directory: %w", err)
	}
	if n.kind != typeDir {
		return nil, fmt.Errorf("root directory: inode of type %d", n.kind)
	}
	if path == "." {
		return n, nil
	}
	done := "."
	for _, name := range strings.Split(path, "/") {
		var list []dirent
		if n.kind == typeDir {
			if list, err = r.readListing(n, nil); err != nil {
				return nil, at(done, err)
			}
		}
		n = nil
		for _, d := range list {
			if d.name == name {
				if n, err = r.child(d); err != nil {
					return nil, at(path, err)
				}
			}
		}
		if n == nil {
			return nil, at(path, artifact.ErrNotFound)
		}
		done = artifact.Join(done, name)
	}
	return n, nil
}

// measure finds out how much of each fragment block is in use, so that files can be told their share of it.
func (r *Reader) measure() error {
	root, err := r.lookup(".")
	if err != nil {
		return err
	}
	used := make(map[uint32]uint32)
	w := walker{r: r, seen: make(map[uint64]bool), visit: func(_ string, n *inode, _ []dirent, _ []run) error {
		if f := &n.file; n.kind == typeFile && f.fragment != noFragment {
			used[f.fragment] = max(used[f.fragment], f.offset+uint32(n.size%uint64(r.super.blockSize)))
		}
		return nil
	}}
	if err := w.walk(".", root); err != nil {
		return err
	}
	r.used = used
	return nil
}

// Open reads the content of a file.
func (r *Reader) Open(e *artifact.Entry) (io.Reader, error) {
	n, err := r.readInode(e.Ref)
	if err == nil && (e.Type != fstree.Regular || n.kind != typeFile) {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, fmt.Errorf("squashfs: %w", at(e.Path, err))
	}
	return r.content(e.Path, n), nil
}

// Digest is the SHA-256 of a file's content.
func (r *Reader) Digest(e *artifact.Entry) (sum [sha256.Size]byte, err error) {
	content, err := r.Open(e)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, content); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
