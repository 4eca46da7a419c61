package ocilayout

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	maxMembers = 100_000 // of an archive; an image has some hundreds
	maxLinks   = 8       // links from one member of an archive to the next
)

// store gives the members of a layout by their slash-separated names.
type store interface {
	// open returns a regular member and its size. The error is fs.ErrNotExist when there is none.
	open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// dirStore is a layout directory. Its members may be symlinks, as in Bazel's output trees.
type dirStore string

func (d dirStore) open(name string) (io.ReadCloser, int64, error) {
	p := filepath.Join(string(d), filepath.FromSlash(name))
	// Opening a FIFO would wait for a writer, so look first.
	info, err := os.Stat(p)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (dirStore) Close() error { return nil }

// tarStore reads the members of an uncompressed tar where they lie in the file.
type tarStore struct {
	file    file
	members map[string]member
}

// file is what of *os.File a tarStore needs.
type file interface {
	io.ReadSeeker
	io.ReaderAt
}

type member struct {
	offset, size int64
	link         string // name of another member when this one is a symlink or hard link
}

func openTar(name string) (*tarStore, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := indexTar(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func indexTar(f file) (*tarStore, error) {
	s := &tarStore{file: f, members: make(map[string]member)}
	if err := checkUncompressed(f); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return s, s.index(size)
}

func (s *tarStore) index(size int64) error {
	tr := tar.NewReader(s.file)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("is neither a directory nor a readable tar archive: %w", err)
		}
		if len(s.members) == maxMembers {
			return fmt.Errorf("has more than %d members, which no image has", maxMembers)
		}
		name := path.Clean(h.Name)
		if isSparse(h) {
			return fmt.Errorf("stores its member %s as a sparse file; write the archive without --sparse", name)
		}
		m := member{size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
			// archive/tar reads whole header blocks only, so the file stands at the member's first byte.
			m.offset, err = s.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			if h.Size > size-m.offset {
				return fmt.Errorf("is cut off within its member %s; copy the archive again", name)
			}
		case tar.TypeSymlink:
			m.link = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			m.link = path.Clean(h.Linkname)
		default:
			continue
		}
		s.members[name] = m
	}
}

func isSparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// checkUncompressed refuses compressed archives, whose members cannot be read in any order.
func checkUncompressed(f file) error {
	var start [4]byte
	n, err := f.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	for _, c := range []struct {
		magic  string
		remedy string
	}{{"\x1f\x8b", "gunzip"}, {"\x28\xb5\x2f\xfd", "unzstd"}, {"\xfd7zX", "unxz"}, {"BZh", "bunzip2"}} {
		if bytes.HasPrefix(start[:n], []byte(c.magic)) {
			return fmt.Errorf("is a compressed archive; uncompress it first with %s", c.remedy)
		}
	}
	return nil
}

func (s *tarStore) open(name string) (io.ReadCloser, int64, error) {
	for range maxLinks {
		m, ok := s.members[name]
		if !ok {
			return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		if m.link == "" {
			return io.NopCloser(io.NewSectionReader(s.file, m.offset, m.size)), m.size, nil
		}
		name = m.link
	}
	return nil, 0, fmt.Errorf("%s: more than %d links follow each other", name, maxLinks)
}

func (s *tarStore) Close() error {
	if c, ok := s.file.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
