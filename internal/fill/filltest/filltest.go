// Package filltest makes what tests of fills begin with.
package filltest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/linking"
	"github.com/fledge-build/fledge/internal/packing"
)

// Source links an ext4 image of uncompressed layers, base layer first, with a size buffer of 1 MiB, and gives its path.
func Source(t testing.TB, layers ...[]byte) string {
	t.Helper()
	spec, err := codec.ParseSpec("none", 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var packs []string
	for i, layer := range layers {
		pack := filepath.Join(dir, fmt.Sprint(i, ".pack"))
		err := cli.WriteFile(pack, func(f *os.File) error {
			o := layerpack.Options{Codec: spec, BlockSize: 128 << 10}
			_, err := layerpack.PackTar(context.Background(), bytes.NewReader(layer), f, o)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, pack)
	}
	image := filepath.Join(dir, "source.ext4")
	_, err = cli.WriteSparseWithDigest(image, "", func(w io.Writer) error {
		o := linking.RootfsOptions{Filesystem: packing.Ext4, SizeBuffer: 1}
		_, err := linking.Rootfs(context.Background(), w, packs, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}
