package mapping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// node is a file or folder that the layer will or could have.
type node struct {
	src  string
	dir  bool
	leaf bool // a folder without anything in it
	mode uint16
}

// plan is what goes where.
type plan struct {
	spec  *Spec
	nodes map[string]node
}

// Pack adds the files of the mappings to b, in the order of their paths, owned by 0:0 and with time 0. Of folders, only
// empty ones and those with a mode of their own become entries: others come into being with their files, and where the
// image has them already they stay as they are.
func (s *Spec) Pack(ctx context.Context, b layerpack.Adder) error {
	files, err := s.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := f.pack(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", f.Source, err)
		}
	}
	return nil
}

// File is a file or a folder that Pack packs.
type File struct {
	Path   string // as Mapping.Dest has it
	Source string
	Folder bool
	Mode   uint16
}

// Files lists what Pack packs, in the order of the paths.
func (s *Spec) Files() ([]File, error) {
	p := plan{s, map[string]node{}}
	for _, m := range s.Mappings {
		if err := p.add(m, m.Src, m.Dest, nil); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	var files []File
	for _, dest := range slices.Sorted(maps.Keys(p.nodes)) {
		if n := p.nodes[dest]; !n.dir || n.leaf {
			files = append(files, File{Path: dest, Source: n.src, Folder: n.dir, Mode: n.mode})
		}
	}
	return files, nil
}

// add plans src, which is m.Src or lies in it. above are the folders on the way, so that a symlink to one of them does
// not lead round in circles.
func (p *plan) add(m Mapping, src, dest string, above []os.FileInfo) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	old, known := p.nodes[dest]
	switch {
	case known && !(old.dir && info.IsDir()):
		return fmt.Errorf("%s and %s both go to /%s", old.src, src, dest)
	case info.IsDir():
		return p.addFolder(m, src, dest, append(above, info))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: is neither a file nor a folder", src)
	case dest == ".":
		return fmt.Errorf("%s: a file cannot be the root of the image; give the path that it shall have", src)
	}
	executable := info.Mode()&0o111 != 0
	if m.Executable != nil {
		executable = *m.Executable
	}
	p.nodes[dest] = node{src: src, mode: FileMode(dest, executable)}
	return nil
}

func (p *plan) addFolder(m Mapping, src, dest string, above []os.FileInfo) error {
	here := above[len(above)-1]
	for _, dir := range above[:len(above)-1] {
		if os.SameFile(dir, here) {
			return fmt.Errorf("%s: the symlink leads back to a folder that it lies in", src)
		}
	}
	list, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	old, known := p.nodes[dest]
	p.nodes[dest] = node{src: src, dir: true, leaf: len(list) == 0 && (!known || old.leaf), mode: 0o755}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".wh.") {
			return fmt.Errorf("%s: names with .wh. stand for removed files in a layer", filepath.Join(src, e.Name()))
		}
		if err := p.add(m, filepath.Join(src, e.Name()), path.Join(dest, e.Name()), above); err != nil {
			return err
		}
	}
	return nil
}

// check looks for files below files and for modes of paths that are not there, and sets the modes.
func (p *plan) check() error {
	for _, dest := range slices.Sorted(maps.Keys(p.nodes)) {
		for dir := path.Dir(dest); dir != "."; dir = path.Dir(dir) {
			if n, ok := p.nodes[dir]; ok && !n.dir {
				return fmt.Errorf("%s goes to /%s, which is below the file /%s (%s)", p.nodes[dest].src, dest, dir, n.src)
			}
		}
	}
	for _, dest := range slices.Sorted(maps.Keys(p.spec.Modes)) {
		n, ok := p.nodes[dest]
		if !ok {
			return fmt.Errorf("mode of /%s: none of the mappings makes that path", dest)
		}
		n.mode = p.spec.Modes[dest]
		n.leaf = n.dir
		p.nodes[dest] = n
	}
	return nil
}

func (f File) pack(ctx context.Context, b layerpack.Adder) error {
	e := fstree.Entry{Path: f.Path, Type: fstree.Regular, Mode: f.Mode}
	if f.Folder {
		e.Type = fstree.Directory
		return b.Add(e, nil, 0)
	}
	from, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	in := reader{ctx, from}
	if err := b.Add(e, in, info.Size()); err != nil {
		return err
	}
	extra, err := in.Read(make([]byte, 1))
	switch {
	case extra > 0:
		return errors.New("changed while it was read")
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// reader stops when the context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
