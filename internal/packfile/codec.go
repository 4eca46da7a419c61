package packfile

import (
	"fmt"
	"slices"

	"github.com/fledge-build/fledge/internal/codec"
)

// CodecSize is the length of a codec in a footer's head, in bytes.
const CodecSize = 4

// codecNumbers are the compressors by their number in packs.
var codecNumbers = []string{"none", "gzip", "xz", "lz4", "zstd"}

// AppendCodec appends a codec to a footer's head: the compressor's number, the level, two zeros.
func AppendCodec(b []byte, spec codec.Spec) []byte {
	return append(b, byte(slices.Index(codecNumbers, spec.Name)), byte(spec.Level), 0, 0)
}

// DecodeCodec reads what AppendCodec wrote at the beginning of b, which has at least CodecSize bytes.
func DecodeCodec(b []byte) (codec.Spec, error) {
	if int(b[0]) >= len(codecNumbers) {
		return codec.Spec{}, fmt.Errorf("unknown compressor number %d", b[0])
	}
	return codec.ParseSpec(codecNumbers[b[0]], int(b[1]))
}
