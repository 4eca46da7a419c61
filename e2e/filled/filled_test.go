package filled

import (
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// The image holds exactly what umoci unpacks, for the kernel.
func TestAgainstUmoci(t *testing.T) {
	k := newKit(t)
	imagetest.NeedRoot(t, "umoci")
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			layers := imagetest.Everything(t, 128<<10)
			if kind == fill.XFS {
				layers = append(layers, imagetest.Tar(t, imagetest.Regular("dev/.wh.far", ""), imagetest.Regular("etc/.wh.far", "")))
			}
			image, stats := k.fill(t, k.options(t, kind, k.source(t, layers...)))
			want := imagetest.Unpacked(t, layers)
			if stats.Entries != int64(len(want)-1) || stats.Dropped.Count != 0 {
				t.Errorf("%d names, but stats %+v", len(want), stats)
			}
			imagetest.Compare(t, "the mounted image", want, imagetest.Describe(t, imagetest.MountAs(t, kind, "ro", image)))
		})
	}
}

var _ = slices.Contains[[]string]
var _ = strings.Contains
