package erofs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// What fsck.erofs 1.5 does not extract: hard links, extended attributes, bits that a change of the owner clears, and holes,
// which bin/zeros has: it goes on behind them as if they were not there. The kernel has to read all that right.
var notExtracted = regexp.MustCompile(` links \d+ "([^"\\]|\\.)*"| (user|trusted|security|system)\.[^ ]*=[0-9a-f]*| +$`)

func asExtracted(lines []string) (out []string) {
	for _, l := range lines {
		l = notExtracted.ReplaceAllString(notExtracted.ReplaceAllString(l, ""), "")
		l = strings.Replace(l, `" 104755 `, `" 100755 `, 1)
		if strings.HasPrefix(l, `"bin/zeros"`) {
			l, _, _ = strings.Cut(l, " 1700000000")
		}
		out = append(out, l)
	}
	return out
}

// The image holds exactly what umoci unpacks, for the kernel and for fsck.erofs.
func TestAgainstUmoci(t *testing.T) {
	imagetest.NeedRoot(t, "umoci")
	for _, compressor := range codecs {
		for _, size := range []int{4096, 64 << 10, 3 << 20} {
			t.Run(fmt.Sprintf("%s %d", compressor, size), func(t *testing.T) {
				layers := append(imagetest.Everything(t, size), imagetest.Extremes(t))
				want := imagetest.Unpacked(t, layers)
				image, stats := link(t, packTars(t, compressor, 2, layers...)...)
				if stats.Inodes >= len(want) || stats.Shared == 0 || stats.Dropped.Count != 0 {
					t.Errorf("%d names, but stats %+v", len(want), stats)
				}
				t.Run("kernel", func(t *testing.T) {
					imagetest.Compare(t, "the mounted image", want, imagetest.Describe(t, mount(t, image)))
				})
				t.Run("fsck.erofs", func(t *testing.T) {
					got := imagetest.Describe(t, fsck(t, image))
					imagetest.Compare(t, "what fsck.erofs extracts", asExtracted(want), asExtracted(got))
				})
			})
		}
	}
}
