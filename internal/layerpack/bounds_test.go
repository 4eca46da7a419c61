package layerpack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

// TestLyingHeaders: headers that say that a gigabyte of names or attributes follows, and archives that have it, get no
// memory for it.
func TestLyingHeaders(t *testing.T) {
	const size = 1 << 30
	for _, kind := range []byte{tar.TypeXHeader, tar.TypeXGlobalHeader, tar.TypeGNULongName, tar.TypeGNULongLink} {
		var head [blockTar]byte
		copy(head[:], "x")
		copy(head[100:], "0000644\x000000000\x000000000\x00")
		copy(head[124:], fmt.Sprintf("%011o\x0000000000000\x00        ", size))
		head[156] = kind
		copy(head[257:], "ustar\x0000")
		sum := 0
		for _, c := range head {
			sum += int(c)
		}
		copy(head[148:], fmt.Sprintf("%06o\x00 ", sum))
		for name, rest := range map[string]io.Reader{"cut off": strings.NewReader(""), "all there": &endless{}} {
			fuzztest.Limit(t, 16<<20, func() {
				o := options(t, "none")
				o.Jobs = 1
				f := create(t)
				_, err := PackTar(t.Context(), io.MultiReader(bytes.NewReader(head[:]), rest), f, o)
				if err == nil {
					t.Errorf("%c, %s: no error", kind, name)
				}
			})
		}
	}
}
