package artifacttest

import (
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/packing"
)

// Pack makes a layer pack of a tree, without its sockets, which a layer has no type for, and gives its name.
func Pack(t testing.TB, dir string, settings packing.Settings) string {
	t.Helper()
	m := maker{t, t.TempDir()}
	imagetest.NeedRoot(t, "tar")
	imagetest.Run(t, "tar", "-C", dir, "--format=pax", "--sort=name", "--xattrs", "--xattrs-include=*",
		"--exclude=./dev/socket", "-cf", m.path("layer.tar"), ".")
	layer, err := os.Open(m.path("layer.tar"))
	m.do(err)
	defer layer.Close()
	pack, err := os.Create(filepath.Join(m.dir, "layer.pack"))
	m.do(err)
	_, err = settings.Write(pack, func(to layerpack.Adder) error { return layerpack.AddTar(t.Context(), to, layer, 0) })
	m.do(err)
	m.do(pack.Close())
	return pack.Name()
}

// Merge makes a tree of the entries of one layer.
func Merge(t testing.TB, entries iter.Seq2[fstree.Entry, error]) *fstree.Tree {
	t.Helper()
	m := fstree.NewMerger()
	if err := m.AddLayer("layer", entries); err != nil {
		t.Fatal(err)
	}
	tree, err := m.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
