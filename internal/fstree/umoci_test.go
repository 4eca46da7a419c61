package fstree_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

func entry(name string, kind byte, target string) imagetest.File {
	return imagetest.File{Header: tar.Header{
		Name: name, Typeflag: kind, Mode: 0o750, Linkname: target, ModTime: time.Unix(1700000000, 0),
	}}
}

func d(name string) imagetest.File         { return entry(name, tar.TypeDir, "") }
func l(name, target string) imagetest.File { return entry(name, tar.TypeSymlink, target) }
func h(name, target string) imagetest.File { return entry(name, tar.TypeLink, target) }
func f(name string) imagetest.File         { return entry(name, tar.TypeReg, "") }

type layer = []imagetest.File

// oddLayers are layers in a state about which the image specification says little.
var oddLayers = []struct {
	name   string
	layers []layer
}{
	{"replaced in one layer", []layer{{f("a"), d("a"), f("a/x"), f("b"), l("b", "a"), d("c"), f("c/x"), f("c")}}},
	{"whiteout of the layer's own", []layer{{f("a"), d("d"), f("d/x"), f(".wh.a"), f(".wh.d"), f("d/.wh..wh..opq")}}},
	{"whiteout of nothing", []layer{{d("d"), f("f")}, {f(".wh.x"), f("d/.wh.x"), f("no/such/.wh.x")}}},
	{"whiteout below a file", []layer{{d("d"), f("f")}, {f("f/.wh.x"), f("f/g/.wh.x")}}},
	{"whiteout of a folder that stays",
		[]layer{{d("d"), f("d/a"), d("d/s"), f("d/s/b")}, {d("d"), f("d/n"), f(".wh.d")}}},
	{"whiteout then anew", []layer{{d("d"), f("d/a")}, {f(".wh.d"), d("d"), f("d/b")}}},
	{"whiteout through a symlink", []layer{{d("r"), f("r/a"), f("r/b"), l("s", "r")}, {f("s/.wh.a")}}},
	{"whiteout of a symlink", []layer{{d("r"), f("r/a"), l("s", "r")}, {f(".wh.s")}}},
	{"opaque through a symlink", []layer{{d("r"), f("r/a"), l("s", "/r")}, {f("s/.wh..wh..opq"), f("s/b")}}},
	{"opaque over a file", []layer{{f("a")}, {f("a/.wh..wh..opq")}}},
	{"opaque root", []layer{{d("r"), f("r/a"), f("b")}, {f(".wh..wh..opq"), f("c")}}},
	{"hard link through symlinks", []layer{{d("r"), f("r/a"), l("s", "../../r"), h("b", "s/a"), h("s/c", "b")}}},
	{"hard link to a symlink", []layer{{f("a"), l("s", "a"), h("t", "s")}}},
	{"hard link to a lower file", []layer{{f("a"), f("b")}, {h("c", "a"), h("b", "a"), f(".wh.a"), f(".wh.c")}}},
	{"hard link and whiteout of the target's folder", []layer{{d("d"), f("d/a")}, {h("b", "d/a"), f(".wh.d")}}},
	{"hard link replaced", []layer{{f("a"), h("b", "a"), h("c", "b")}, {f("b")}, {h("d", "c"), f(".wh.a")}}},
	{"hard link to itself", []layer{{f("a")}, {h("a", "a")}}},
	{"hard link to another name of itself", []layer{{f("a"), h("b", "a")}, {h("a", "b")}}},
	{"hard link to nothing", []layer{{h("b", "a")}}},
	{"hard link forward", []layer{{h("b", "a"), f("a")}}},
	{"hard link to a folder", []layer{{d("a"), h("b", "a")}}},
	{"hard link below a file", []layer{{f("a"), h("b", "a/x")}}},
	{"hard link to a whited out file", []layer{{f("a")}, {f(".wh.a"), h("b", "a")}}},
	{"hard link to what it replaces", []layer{{d("a"), f("a/x")}, {h("a", "a/x")}}},
	{"below a file", []layer{{f("a")}, {f("a/x")}}},
	{"far below a file", []layer{{f("a")}, {f("a/x/y/z")}}},
	{"below a symlink to a file", []layer{{f("a"), l("s", "a")}, {f("s/x")}}},
	{"below a replaced file", []layer{{f("a")}, {d("a"), f("a/x")}}},
	{"below a symlink", []layer{{d("r"), l("s", "r"), l("t", "s/../s/.")}, {f("s/a"), f("t/b")}}},
	{"folder over a symlink", []layer{{d("r"), f("r/a"), l("s", "r")}, {d("s"), f("s/b")}}},
	{"symlink over a folder", []layer{{d("r"), d("s"), f("s/a")}, {l("s", "r"), f("s/b")}}},
	{"symlink out of the root", []layer{{d("etc"), l("s", "../../../../etc"), l("t", "/../etc")}, {f("s/a"), f("t/b")}}},
	{"dangling symlink", []layer{{l("s", "x/y"), l("t", "gone/../z")}, {d("x"), d("x/y"), f("s/a"), d("z"), f("t/b")}}},
	{"symlink loop", []layer{{l("a", "b"), l("b", "a")}, {f("a/x")}}},
	{"symlink to itself", []layer{{l("a", "a"), f("a/x")}}},
}

// The tree is the one that umoci makes, and what umoci refuses is an error.
func TestAgainstUmoci(t *testing.T) {
	imagetest.NeedRoot(t, "umoci")
	for _, tc := range oddLayers {
		t.Run(tc.name, func(t *testing.T) {
			var paths []string
			for i, files := range tc.layers {
				paths = append(paths, filepath.Join(t.TempDir(), fmt.Sprintf("%d.tar", i)))
				files = append([]imagetest.File{d("./")}, files...)
				if err := os.WriteFile(paths[i], imagetest.Tar(t, files...), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, umociErr := imagetest.Unpack(t, paths...)
			tree, err := mergeTars(t, paths)
			if (err == nil) != (umociErr == nil) {
				t.Fatalf("error %v, but umoci has %v", err, umociErr)
			}
			if err != nil {
				t.Log(err)
				return
			}
			if diff := cmp.Diff(names(t, want), treeNames(tree)); diff != "" {
				t.Errorf("the tree differs from umoci's (-umoci +tree):\n%s", diff)
			}
		})
	}
}

func mergeTars(t *testing.T, paths []string) (*fstree.Tree, error) {
	t.Helper()
	m := fstree.NewMerger()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(path + ".pack")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		o := layerpack.Options{Codec: codec.Spec{Name: "none"}, BlockSize: 4096}
		if _, err := layerpack.PackTar(context.Background(), bytes.NewReader(data), out, o); err != nil {
			t.Fatal(err)
		}
		pack, err := layerpack.Open(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer pack.Close()
		if err := m.AddLayer(filepath.Base(path), pack.Entries()); err != nil {
			return nil, err
		}
	}
	return m.Tree()
}

// names describes a folder: path, mode, links and target. Times of folders that only umoci touched are left out, and so
// are those of folders that no layer has.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	var visit func(path string)
	visit = func(path string) {
		entries, err := os.ReadDir(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
				t.Fatal(err)
			}
			target, _ := os.Readlink(filepath.Join(dir, name))
			list = append(list, fmt.Sprintf("%s %o %d %s", name, st.Mode, st.Nlink, target))
			if e.IsDir() {
				visit(name)
			}
		}
	}
	visit("")
	slices.Sort(list)
	return list
}

// treeNames is names of a tree.
func treeNames(tree *fstree.Tree) (list []string) {
	modes := map[fstree.Type]uint32{
		fstree.Regular: unix.S_IFREG, fstree.Directory: unix.S_IFDIR, fstree.Symlink: unix.S_IFLNK,
	}
	var visit func(path string, n *fstree.Node)
	visit = func(path string, n *fstree.Node) {
		for _, c := range n.Children() {
			name := strings.TrimPrefix(path+"/"+c.Name, "/")
			mode := modes[c.Node.Type] | uint32(c.Node.Mode)
			list = append(list, fmt.Sprintf("%s %o %d %s", name, mode, c.Node.Links, c.Node.Link()))
			visit(name, c.Node)
		}
	}
	visit("", tree.Root)
	slices.Sort(list)
	return list
}
