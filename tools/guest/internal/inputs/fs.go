package inputs

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	gofs "io/fs"
	"os"
	"path"
	"strings"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// tree is a folder of the archive as BuildKit wants a build context. All is root's and of one time, whatever the
// archive says.
type tree struct {
	ix   *index
	root string
	time int64 // nanoseconds since 1970
}

// entry is an fs.DirEntry.
type entry struct{ st *types.Stat }

func (e entry) Name() string                 { return path.Base(e.st.Path) }
func (e entry) IsDir() bool                  { return gofs.FileMode(e.st.Mode).IsDir() }
func (e entry) Type() gofs.FileMode          { return gofs.FileMode(e.st.Mode).Type() }
func (e entry) Info() (gofs.FileInfo, error) { return &fsutil.StatInfo{Stat: e.st}, nil }

// Walk implements fsutil.FS: it calls fn for all that is below target, and for target itself unless that is the root.
func (t *tree) Walk(ctx context.Context, target string, fn gofs.WalkDirFunc) error {
	links := map[string]string{}
	err := t.walk(ctx, strings.TrimPrefix(path.Clean("/"+target), "/"), fn, links)
	if errors.Is(err, gofs.SkipAll) {
		return nil
	}
	return err
}

func (t *tree) walk(ctx context.Context, rel string, fn gofs.WalkDirFunc, links map[string]string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	n := t.ix.nodes[path.Join(t.root, rel)]
	if n == nil {
		return nil
	}
	if rel != "" {
		err := fn(rel, entry{t.stat(rel, n, links)}, nil)
		if errors.Is(err, gofs.SkipDir) && n.kind == tar.TypeDir {
			return nil
		}
		if err != nil {
			return err
		}
	}
	for _, child := range n.children {
		err := t.walk(ctx, path.Join(rel, child), fn, links)
		if errors.Is(err, gofs.SkipDir) { // from a file: leave its folder
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stat describes a node. Of the names of one file the first one walked is the file and the others are links to it;
// links remembers them.
func (t *tree) stat(rel string, n *node, links map[string]string) *types.Stat {
	st := &types.Stat{Path: rel, ModTime: t.time}
	switch n.kind {
	case tar.TypeDir:
		st.Mode = uint32(gofs.ModeDir | fileMode(n.mode))
	case tar.TypeSymlink:
		st.Mode, st.Linkname = uint32(gofs.ModeSymlink|0o777), n.target
	default:
		st.Mode, st.Size = uint32(fileMode(n.mode)), n.size
		origin := n.origin
		if origin == "" {
			origin = path.Join(t.root, rel)
		}
		if first, ok := links[origin]; ok {
			st.Linkname, st.Size = first, 0
		} else {
			links[origin] = rel
		}
	}
	return st
}

// fileMode converts the bits of a tar header.
func fileMode(mode int64) gofs.FileMode {
	m := gofs.FileMode(mode & 0o777)
	for bit, flag := range map[int64]gofs.FileMode{
		0o4000: gofs.ModeSetuid, 0o2000: gofs.ModeSetgid, 0o1000: gofs.ModeSticky,
	} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}

// Open implements fsutil.FS.
func (t *tree) Open(name string) (io.ReadCloser, error) {
	n := t.ix.nodes[path.Join(t.root, path.Clean("/"+name))]
	if n == nil || n.kind != tar.TypeReg {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return io.NopCloser(io.NewSectionReader(t.ix.r, n.off, n.size)), nil
}
