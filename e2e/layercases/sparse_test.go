package layercases

import (
	"archive/tar"
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/e2e/layers"
)

// sparseCases are of sparse files, which layer.md advises against and tools write: the manual of GNU tar, "Sparse Formats".
func sparseCases() []layerCase {
	const size = 300_000
	data := text(1000)
	map10 := fmt.Sprintf("2\n4096\n1000\n%d\n0\n", size)
	map10 += strings.Repeat("\x00", 512-len(map10)) + data
	name := func(version string) layers.Raw { return plain("GNUSparseFile.0/" + version) }
	return []layerCase{
		{name: "sparse PAX 0.0", why: "each piece is two records, which repeat", layers: stack{{
			root, pax("GNU.sparse.size", fmt.Sprint(size), "GNU.sparse.numblocks", "2", "GNU.sparse.offset", "4096", "GNU.sparse.numbytes",
				"1000", "GNU.sparse.offset", fmt.Sprint(size), "GNU.sparse.numbytes", "0"), raw(plain("0.0"), data), file("after", "1"),
		}}},
		{name: "sparse PAX 0.1", why: "the map is one record", layers: stack{{
			root, pax("GNU.sparse.name", "0.1", "GNU.sparse.size", fmt.Sprint(size), "GNU.sparse.numblocks", "2",
				"GNU.sparse.map", fmt.Sprintf("4096,1000,%d,0", size)), raw(name("0.1"), data), file("after", "1"),
		}}},
		{name: "sparse PAX 1.0", why: "the map precedes the data", layers: stack{{
			root, pax("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "1.0", "GNU.sparse.realsize", fmt.Sprint(size)),
			raw(name("1.0"), map10), file("after", "1"),
		}}},
		{name: "sparse GNU", why: "type S: four pieces in the header, 21 in each block behind it", layers: stack{{
			root, oldSparse("three", size, 3), oldSparse("four", size, 4), oldSparse("sixty", size, 60), file("after", "1"),
		}}, umoci: "Debian 12's umoci refuses the type", means: stack{{
			root, file("three", text(3*512)).spread(size), file("four", text(4*512)).spread(size), file("sixty", text(60*512)).spread(size), file("after", "1"),
		}}},
		{name: "sparse files", why: "holes at every place, and smaller than a block", layers: stack{{
			root, file("hole", "").holes(1<<20 + 1), file("small-hole", "").holes(100),
			file("mixed", "").holes(900000, layers.Segment{Offset: 1, Data: []byte("x")}, layers.Segment{Offset: 400000, Data: []byte("y")}),
			file("begins", "").holes(500000, layers.Segment{Offset: 0, Data: []byte(text(5000))}),
			file("ends", "").holes(500000, layers.Segment{Offset: 400000, Data: []byte(text(100000))}),
			file("zeros are data", strings.Repeat("\x00", 300000)),
		}}, peers: map[string]string{"tar": "it wants whole blocks in all pieces but the last"}},
		{name: "sparse file over a file", why: "it replaces it, and other names keep the old", layers: stack{
			{root, file("a", text(50000)), hard("b", "a")}, {file("a", "").holes(400000, layers.Segment{Offset: 200000, Data: []byte("x")}), root},
		}},
	}
}

// spread makes the file a sparse one with its data in pieces as oldSparse has them.
func (e entry) spread(size int64) entry {
	var segments []layers.Segment
	for i := 0; i*512 < len(e.data); i++ {
		segments = append(segments, layers.Segment{Offset: int64(i) * 4096, Data: []byte(e.data[i*512 : (i+1)*512])})
	}
	return e.holes(size, segments...)
}

// oldSparse is a file of GNU's old format with pieces of 512 bytes, evenly spread, and an empty one at the end.
func oldSparse(name string, size, pieces int64) entry {
	var list []string
	for i := range pieces {
		list = append(list, layers.Octal(i*4096, 12)+layers.Octal(512, 12))
	}
	list = append(list, layers.Octal(size, 12)+layers.Octal(0, 12))
	take := func(n int) string {
		n = min(n, len(list))
		part := strings.Join(list[:n], "")
		list = list[n:]
		return part
	}
	field := func(s string, size int) string { return s + strings.Repeat("\x00", size-len(s)) }
	more := func() string { return string(byte(min(len(list), 1))) }
	// In the header: atime and ctime, offset, longnames, unused (41 bytes in all), the pieces, isextended, realsize.
	rest := field("", 41) + field(take(4), 96) + more() + layers.Octal(size, 12)
	data := text(int(pieces) * 512)
	h := layers.Raw{
		Name: name, Type: tar.TypeGNUSparse, Magic: layers.GNU, Mode: layers.Octal(0o644, 8),
		ModTime: layers.Octal(1600000000, 12), Size: layers.Octal(int64(len(data)), 12), Rest: rest,
	}
	blocks := h.Entry("")
	for len(list) > 0 {
		part := field(take(21), 504)
		blocks = append(blocks, field(part+more(), 512)...)
	}
	return entry{raw: append(blocks, data...)}
}
