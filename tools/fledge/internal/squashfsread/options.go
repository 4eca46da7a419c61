package squashfsread

import (
	"errors"
	"fmt"
	"strings"
)

// readOptions reads the compressor's options, a metadata block behind the superblock that is never compressed. Formats:
// squashfs-tools, *_wrapper.h.
func (r *Reader) readOptions() error {
	if r.super.flags&flagCompressorOpt == 0 {
		return nil
	}
	in := region{"compressor options", superblockSize, int64(r.super.inodeTable)}
	size, stored, err := r.metaHeader(&in, superblockSize)
	if err == nil && !stored {
		err = errors.New("they are compressed")
	}
	var b [64]byte
	if err == nil && size > len(b) {
		err = fmt.Errorf("%d bytes", size)
	}
	if err == nil {
		_, err = r.r.ReadAt(b[:size], superblockSize+2)
	}
	if err != nil {
		return fmt.Errorf("compressor options: %w", noEOF(err))
	}
	name := compressorNames[r.super.compressor]
	if want := map[string]int{"gzip": 8, "lzo": 8, "xz": 8, "lz4": 8, "zstd": 4}[name]; size != want {
		return fmt.Errorf("compressor options: %d bytes, for %s there are %d", size, name, want)
	}
	r.options, err = describeOptions(name, b[:size])
	if err != nil {
		return fmt.Errorf("compressor options: %w", err)
	}
	return nil
}

var (
	gzipStrategies = []string{"default", "filtered", "huffman_only", "run_length_encoded", "fixed"}
	xzFilters      = []string{"x86", "powerpc", "ia64", "arm", "armthumb", "sparc", "arm64", "riscv"}
	lzoAlgorithms  = []string{"lzo1x_1", "lzo1x_1_11", "lzo1x_1_12", "lzo1x_1_15", "lzo1x_999"}
)

// describeOptions gives the options as name=value, and an error for what no maker writes.
func describeOptions(compressor string, b []byte) ([]string, error) {
	first := le.Uint32(b)
	var second uint32
	if len(b) == 8 {
		second = le.Uint32(b[4:])
	}
	bad := fmt.Errorf("%s options %d and %d are unknown", compressor, first, second)
	switch compressor {
	case "gzip":
		window, strategies := second&0xffff, second>>16
		if first < 1 || first > 9 || window < 8 || window > 15 || strategies>>len(gzipStrategies) != 0 {
			return nil, bad
		}
		list := []string{fmt.Sprintf("level=%d", first), fmt.Sprintf("window=%d", window)}
		return appendSet(list, "strategies", gzipStrategies, strategies), nil
	case "lzo":
		if int(first) >= len(lzoAlgorithms) || second > 9 {
			return nil, bad
		}
		list := []string{"algorithm=" + lzoAlgorithms[first]}
		if second > 0 {
			list = append(list, fmt.Sprintf("level=%d", second))
		}
		return list, nil
	case "xz":
		if second>>len(xzFilters) != 0 || first < 8192 || first > 1<<20 {
			return nil, bad
		}
		return appendSet([]string{fmt.Sprintf("dictionary=%d", first)}, "filters", xzFilters, second), nil
	case "lz4":
		if first != 1 || second > 1 {
			return nil, bad
		}
		return []string{fmt.Sprintf("hc=%t", second == 1)}, nil
	}
	if first < 1 || first > 22 {
		return nil, bad
	}
	return []string{fmt.Sprintf("level=%d", first)}, nil
}

// appendSet adds the names whose bits are set, if any.
func appendSet(list []string, what string, names []string, bits uint32) []string {
	var set []string
	for i, name := range names {
		if bits>>i&1 != 0 {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return list
	}
	return append(list, what+"="+strings.Join(set, ","))
}
