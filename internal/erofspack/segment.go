package erofspack

import (
	"bytes"
	"slices"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/lz4fill"
)

// segment is a part of a file on its way into blocks. Its buffers are used again and again.
type segment struct {
	src   []byte // at most segmentSize bytes
	chunk int    // of the file, in bytes
	last  bool   // of the file

	out     []byte // blocks; of an uncompressed pack within src
	tail    []byte // of the last segment: what is behind the last whole block, or compressed
	extents []Extent
	zeros   uint64 // bytes in chunks of zeros
	ready   chan struct{}
}

// encoder makes blocks of segments. What it makes depends on the segment alone.
type encoder struct {
	lz4   *lz4fill.Encoder // nil for uncompressed packs
	buf   []byte
	buf2  []byte
	zeros *segment // what becomes of a whole segment of zeros: sparse files have many
}

func newEncoder(spec codec.Spec) *encoder {
	if spec.Name == "none" {
		return &encoder{}
	}
	return &encoder{lz4: &lz4fill.Encoder{}}
}

func (e *encoder) encode(s *segment) {
	s.out, s.tail, s.extents, s.zeros = s.out[:0], s.tail[:0], s.extents[:0], 0
	if e.lz4 == nil {
		s.leaveOutZeros()
		return
	}
	for chunk := range chunks(s.src, s.chunk) {
		if isZero(chunk) {
			s.zeros += uint64(len(chunk))
		}
	}
	hole := s.zeros == segmentSize && !s.last
	if hole && e.zeros != nil {
		s.out, s.extents = append(s.out, e.zeros.out...), append(s.extents, e.zeros.extents...)
		return
	}
	e.compress(s)
	if hole {
		e.zeros = &segment{out: slices.Clone(s.out), extents: slices.Clone(s.extents)}
	}
}

// chunks cuts b into pieces of size bytes; the last may be short.
func chunks(b []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(size, len(b))
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// isZero tells whether p, which is not empty, is all zeros.
func isZero(p []byte) bool { return p[0] == 0 && bytes.Equal(p[:len(p)-1], p[1:]) }

// leaveOutZeros makes blocks of all chunks but those of zeros, in the place of src.
func (s *segment) leaveOutZeros() {
	s.out = s.src[:0]
	for chunk := range chunks(s.src, s.chunk) {
		if isZero(chunk) && len(chunk) == s.chunk {
			s.extents = appendRun(s.extents, Extent{Length: 1, Kind: Hole})
			continue
		}
		s.extents = appendRun(s.extents, Extent{Length: 1, Kind: Data})
		whole := len(chunk) / BlockSize * BlockSize
		s.tail = append(s.tail, chunk[whole:]...)
		at := len(s.out)
		s.out = s.out[:at+whole]
		if whole > 0 && &s.out[at] != &chunk[0] { // there were holes
			copy(s.out[at:], chunk)
		}
	}
}

// appendRun appends a run of chunks, to the last one where it is of the same kind.
func appendRun(list []Extent, e Extent) []Extent {
	if n := len(list); n > 0 && list[n-1].Kind == e.Kind {
		list[n-1].Length += e.Length
		return list
	}
	return append(list, e)
}

// compress makes clusters: as much of the segment as fits into MaxCluster blocks, again and again.
func (e *encoder) compress(s *segment) {
	rest := s.src
	for {
		var used int
		e.buf, used = e.lz4.Fill(e.buf[:0], rest, MaxCluster*BlockSize)
		if used == len(rest) {
			e.compressEnd(s, rest)
			return
		}
		if blocks := blocksOf(uint64(len(e.buf))); used <= int(blocks)*BlockSize {
			used = max(used/BlockSize*BlockSize, BlockSize)
			s.plain(rest[:used])
		} else {
			s.cluster(e.buf, used)
		}
		rest = rest[used:]
	}
}

// indexCost is about what a compressed tail costs beside its bytes, where it makes a small file a compressed one.
const indexCost = 32

// compressEnd makes what is cheapest of the end of a segment, which is e.buf when it is compressed at once.
func (e *encoder) compressEnd(s *segment, rest []byte) {
	size := len(e.buf)
	whole := len(rest) / BlockSize * BlockSize
	plain := int(blocksOf(uint64(len(rest)))) * BlockSize
	if s.last && len(rest)-whole <= MaxTail {
		plain = len(rest)
	}
	if s.last && size <= MaxTail && size+indexCost < len(rest) {
		s.extents = append(s.extents, Extent{uint32(len(rest)), 0, Compressed})
		s.tail = append(s.tail, e.buf...)
		return
	}
	blocks := int(blocksOf(uint64(size)))
	if s.last && size > MaxTail && e.splitEnd(s, rest, min(plain, blocks*BlockSize)) {
		return
	}
	if blocks*BlockSize < plain && blocks*BlockSize < len(rest) {
		s.cluster(e.buf, len(rest))
		return
	}
	if plain == len(rest) {
		s.plain(rest[:whole])
		if whole < len(rest) {
			s.extents = append(s.extents, Extent{uint32(len(rest) - whole), 0, Plain})
			s.tail = append(s.tail, rest[whole:]...)
		}
		return
	}
	s.plain(rest)
}

// splitEnd makes a cluster of whole blocks and a tail of the end of a file, when that takes less than limit bytes.
func (e *encoder) splitEnd(s *segment, rest []byte, limit int) bool {
	blocks := len(e.buf) / BlockSize
	if blocks == 0 {
		return false
	}
	var used, tail int
	e.buf2, used = e.lz4.Cut(e.buf2[:0], e.buf, rest, blocks)
	if used <= blocks*BlockSize || used == len(rest) {
		return false
	}
	head := len(e.buf2)
	e.buf2, tail = e.lz4.Fill(e.buf2, rest[used:], MaxTail)
	end := Extent{uint32(len(rest) - used), 0, Compressed}
	inline := e.buf2[head:]
	if len(rest)-used <= min(len(inline), MaxTail) {
		end.Kind, inline = Plain, rest[used:]
	} else if used+tail < len(rest) {
		return false
	}
	if blocks*BlockSize+len(inline) >= limit {
		return false
	}
	s.cluster(e.buf2[:head], used)
	s.extents = append(s.extents, end)
	s.tail = append(s.tail, inline...)
	return true
}

// cluster adds a compressed extent of length bytes: zeros, so that the data ends with its last block.
func (s *segment) cluster(data []byte, length int) {
	blocks := blocksOf(uint64(len(data)))
	s.out = append(s.out, make([]byte, int(blocks)*BlockSize-len(data))...)
	s.out = append(s.out, data...)
	s.extents = append(s.extents, Extent{uint32(length), uint16(blocks), Compressed})
}

// plain adds bytes as they are.
func (s *segment) plain(data []byte) {
	if len(data) == 0 {
		return
	}
	blocks := blocksOf(uint64(len(data)))
	s.out = append(s.out, data...)
	s.out = append(s.out, make([]byte, int(blocks)*BlockSize-len(data))...)
	if n := len(s.extents); n > 0 && s.extents[n-1].Kind == Plain {
		s.extents[n-1].Length += uint32(len(data))
		s.extents[n-1].Blocks += uint16(blocks)
		return
	}
	s.extents = append(s.extents, Extent{uint32(len(data)), uint16(blocks), Plain})
}
