package inventory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/ospkg"
)

// finding is what is known of the content of a file.
type finding struct {
	kept    *io.SectionReader // of a database
	program *buildinfo.BuildInfo
	size    int64  // of what is from no layer
	sha256  string // likewise
}

// describe is the file of a part at a path of the tree.
func (f *finding) describe(part Part, path string) File {
	return File{Kind: part.Kind, Label: part.Label, Path: path, Size: f.size, SHA256: f.sha256, Info: f.program}
}

// spooled is a temporary file for contents that have to be read at any place: memory does not grow with them.
type spooled struct {
	file *os.File
	end  int64
}

// write appends what r has.
func (s *spooled) write(r io.Reader) (*io.SectionReader, error) {
	n, err := io.Copy(io.NewOffsetWriter(s.file, s.end), r)
	s.end += n
	return io.NewSectionReader(s.file, s.end-n, n), err
}

// drop removes what was written last.
func (s *spooled) drop(last *io.SectionReader) { s.end -= last.Size() }

// scan takes the entries of one layer and notes which of its contents matter.
type scan struct {
	spool    *spooled
	checksum bool // of all files
	list     []fstree.Entry
	contents uint32
	found    map[uint32]*finding
	paths    map[string]*finding
}

func newScan(spool *spooled, checksum bool) *scan {
	return &scan{spool: spool, checksum: checksum, found: map[uint32]*finding{}, paths: map[string]*finding{}}
}

func (s *scan) entries() iter.Seq2[fstree.Entry, error] {
	return func(yield func(fstree.Entry, error) bool) {
		for _, e := range s.list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Add implements layerpack.Adder.
func (s *scan) Add(e fstree.Entry, data io.Reader, size int64) error {
	e.Xattrs, e.Content = nil, fstree.NoContent
	if e.Type == fstree.Regular {
		e.Content = s.contents
		s.contents++
		found, err := s.content(e.Path, data, size)
		if err != nil {
			return err
		}
		if found != nil {
			s.found[e.Content] = found
		}
	}
	s.list = append(s.list, e)
	return nil
}

// content looks at the content of a file; nil is nothing of interest.
func (s *scan) content(name string, data io.Reader, size int64) (found *finding, err error) {
	sum := sha256.New()
	if s.checksum {
		data = io.TeeReader(data, sum)
		found = &finding{}
	}
	switch keep := isDatabase(name); {
	case keep && size > ospkg.MaxDatabase:
		return nil, fmt.Errorf("the package database has %d bytes; more than %d are not read", size, int64(ospkg.MaxDatabase))
	case keep:
		found = &finding{}
		found.kept, err = s.spool.write(data)
		s.paths[name] = found
	default:
		var program *buildinfo.BuildInfo
		if program, err = s.program(data, size); program != nil {
			found = &finding{program: program}
		}
	}
	if err != nil || !s.checksum {
		return found, err
	}
	if _, err := io.Copy(io.Discard, data); err != nil {
		return nil, err
	}
	found.size, found.sha256 = size, hex.EncodeToString(sum.Sum(nil))
	return found, nil
}

// program reads what the Go linker noted in an ELF file; nil is another file. A damaged one is as little of a Go program
// as one whose notes were taken out.
func (s *scan) program(data io.Reader, size int64) (*buildinfo.BuildInfo, error) {
	magic := make([]byte, len(elf.ELFMAG))
	if size < int64(len(magic)) {
		return nil, nil
	}
	if _, err := io.ReadFull(data, magic); err != nil || string(magic) != elf.ELFMAG {
		return nil, err
	}
	whole, err := s.spool.write(io.MultiReader(bytes.NewReader(magic), data))
	defer s.spool.drop(whole)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(whole)
	if err != nil {
		return nil, nil
	}
	return info, nil
}

// isDatabase tells whether a file may be a package database or an os-release: by the end of its path, since folders
// above it may be symlinks.
func isDatabase(name string) bool {
	dir, base := path.Split(name)
	parent := path.Base(dir)
	switch base {
	case "status":
		return parent == "dpkg"
	case "installed":
		return parent == "db" && path.Base(path.Dir(path.Clean(dir))) == "apk"
	case "Packages", "Packages.db", "rpmdb.sqlite":
		return parent == "rpm"
	}
	return parent == "status.d" && isStatus(base) || strings.Contains(base, "os-release")
}

// isStatus tells whether a file in a status.d has a package: others have checksums of its files.
func isStatus(base string) bool { return !strings.HasSuffix(base, ".md5sums") }

// addFiles adds the files of a part.
func addFiles(ctx context.Context, to layerpack.Adder, part Part) error {
	dest := strings.TrimPrefix(path.Clean(part.Dest), "/")
	if dest == "" {
		dest = "."
	}
	spec := mapping.Spec{Mappings: []mapping.Mapping{{Src: part.Src, Dest: dest}}}
	return spec.Pack(ctx, to)
}
