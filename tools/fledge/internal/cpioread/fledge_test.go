package cpioread

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/initramfs"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
)

// TestFledge reads what Fledge links of layers.
func TestFledge(t *testing.T) {
	dir := artifacttest.Tree(t)
	want := slices.DeleteFunc(described(t, dir), func(line string) bool {
		return strings.HasPrefix(line, `"dev/socket"`) // which tar has no type for
	})
	for _, name := range []string{"gzip", "xz", "lz4", "zstd", "none"} {
		t.Run(name, func(t *testing.T) {
			r := open(t, linked(t, dir, name))
			if diff := cmp.Diff(want, artifacttest.Describe(t, r, false)); diff != "" {
				t.Errorf("(-tree +archive)\n%s", diff)
			}
			if err := r.Verify(); err != nil {
				t.Error(err)
			}
			if notes := r.Info().Notes; len(notes) > 0 {
				t.Errorf("%q", notes)
			}
		})
	}
}

// linked has Fledge make an initramfs of a tree.
func linked(t *testing.T, dir, compressor string) []byte {
	t.Helper()
	spec, err := packing.Codec(packing.Initramfs, compressor, 0)
	if err != nil {
		t.Fatal(err)
	}
	pack, err := cpiopack.Open(artifacttest.Pack(t, dir, packing.Settings{Kind: packing.Initramfs, Codec: spec}))
	if err != nil {
		t.Fatal(err)
	}
	defer pack.Close()
	var out bytes.Buffer
	tree, o := artifacttest.Merge(t, pack.Entries()), initramfs.Options{Codec: spec}
	if _, err := initramfs.Link(t.Context(), &out, tree, []*cpiopack.Reader{pack}, o); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
