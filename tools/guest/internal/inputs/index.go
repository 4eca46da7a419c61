// Package inputs reads the input disk of a solve, an uncompressed tar archive: its headers once, and then what they
// describe in place, without unpacking.
package inputs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// maxEntries bounds the memory of an index.
const maxEntries = 4 << 20

// node is a file, a folder or a symbolic link.
type node struct {
	kind     byte     // tar.TypeReg, TypeDir or TypeSymlink
	mode     int64    // permission bits with setuid, setgid and sticky
	off      int64    // of a file's data
	size     int64    // of a file
	target   string   // of a symbolic link
	children []string // of a folder, sorted
	origin   string   // of a hard link: the name of the file it is, else ""
}

// index is all nodes by their names in the archive; "." is the root.
type index struct {
	r     io.ReaderAt
	nodes map[string]*node
}

// readIndex reads all headers of an archive of at most size bytes.
func readIndex(r io.ReaderAt, size int64) (*index, error) {
	data := io.NewSectionReader(r, 0, size)
	archive := tar.NewReader(data)
	ix := &index{r: r, nodes: map[string]*node{".": {kind: tar.TypeDir, mode: 0o755}}}
	for first := true; ; first = false {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("input disk: %w", err)
		}
		if first && h.Name != wire.JobFile {
			return nil, fmt.Errorf("input disk: it starts with %q, not with %s", h.Name, wire.JobFile)
		}
		off, err := data.Seek(0, io.SeekCurrent) // archive/tar reads no further than the header
		if err == nil {
			err = ix.add(h, off, size)
		}
		if err != nil {
			return nil, fmt.Errorf("input disk: %q: %w", h.Name, err)
		}
	}
	for _, n := range ix.nodes {
		slices.Sort(n.children)
	}
	return ix, nil
}

func (ix *index) add(h *tar.Header, off, size int64) error {
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if len(ix.nodes) >= maxEntries {
		return fmt.Errorf("more than %d entries", maxEntries)
	}
	n := &node{kind: h.Typeflag, mode: h.Mode & 0o7777}
	switch h.Typeflag {
	case tar.TypeReg:
		if wire.IsSparse(h) {
			return errors.New("a sparse file cannot be read in place")
		}
		if h.Size > size-off {
			return errors.New("the archive is cut off in it")
		}
		n.off, n.size = off, h.Size
	case tar.TypeSymlink:
		n.target = h.Linkname
	case tar.TypeLink:
		origin, err := cleanName(h.Linkname)
		if err != nil {
			return fmt.Errorf("hard link: %w", err)
		}
		to := ix.nodes[origin]
		if to == nil || to.kind != tar.TypeReg {
			return fmt.Errorf("hard link to %q, which is no file before it", h.Linkname)
		}
		*n = *to
		if n.origin == "" {
			n.origin = origin
		}
	case tar.TypeDir:
	default:
		return fmt.Errorf("entries of type %q are not supported", h.Typeflag)
	}
	return ix.insert(name, n)
}

// insert puts n into its folder, and creates the folders above it that the archive did not list.
func (ix *index) insert(name string, n *node) error {
	if old := ix.nodes[name]; old != nil {
		if old.kind == tar.TypeDir && n.kind == tar.TypeDir {
			old.mode = n.mode
			return nil
		}
		return errors.New("it is there twice")
	}
	dir := path.Dir(name)
	parent := ix.nodes[dir]
	if parent == nil {
		parent = &node{kind: tar.TypeDir, mode: 0o755}
		if err := ix.insert(dir, parent); err != nil {
			return err
		}
	}
	if parent.kind != tar.TypeDir {
		return fmt.Errorf("it lies below %q, which is no folder", dir)
	}
	parent.children = append(parent.children, path.Base(name))
	ix.nodes[name] = n
	return nil
}

// cleanName refuses names that lead out of the archive, and those that are not what they seem.
func cleanName(name string) (string, error) {
	name = strings.TrimSuffix(name, "/")
	switch {
	case name == "" || strings.HasPrefix(name, "/"):
		return "", errors.New("the name must be relative")
	case strings.ContainsRune(name, 0):
		return "", errors.New("there is a NUL in the name")
	case path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../"):
		return "", errors.New(`the name must not have "." or ".." or double slashes`)
	}
	return name, nil
}

// file reads a whole file of at most limit bytes.
func (ix *index) file(name string, limit int64) ([]byte, error) {
	n := ix.nodes[name]
	if n == nil || n.kind != tar.TypeReg {
		return nil, fmt.Errorf("input disk: it has no file %s", name)
	}
	if n.size > limit {
		return nil, fmt.Errorf("input disk: %s is %d bytes long, %d may be", name, n.size, limit)
	}
	b := make([]byte, n.size)
	if _, err := ix.r.ReadAt(b, n.off); err != nil && !(err == io.EOF && n.size == 0) {
		return nil, fmt.Errorf("input disk: %s: %w", name, err)
	}
	return b, nil
}
