// Package deflate compresses into the DEFLATE format (RFC 1951) and the frames around it: gzip (RFC 1952) and zlib
// (RFC 1950).
package deflate

import "fmt"

const (
	// MinLevel and MaxLevel bound the compression levels.
	MinLevel = 1
	MaxLevel = 9
	// MaxChunk is the largest chunk of an Encoder, in bytes.
	MaxChunk = 1 << 20
)

// Encoder compresses chunks. It may be used for any number of chunks, by one goroutine at a time.
type Encoder struct {
	chunk   int
	params  params
	finder  finder
	found   matches
	seqs    []sequence
	optimal optimizer
	split   splitter
	w       blockWriter
}

// NewEncoder returns an encoder for chunks of at most chunk bytes (1 to MaxChunk) at a level from MinLevel to MaxLevel.
// Memory: see docs/deflate-encoder.md.
func NewEncoder(level, chunk int) (*Encoder, error) {
	if level < MinLevel || level > MaxLevel {
		return nil, fmt.Errorf("deflate level %d: want %d to %d", level, MinLevel, MaxLevel)
	}
	if chunk < 1 || chunk > MaxChunk {
		return nil, fmt.Errorf("deflate chunk of %d bytes: want 1 to %d", chunk, MaxChunk)
	}
	e := &Encoder{chunk: chunk, finder: newFinder(chunk), params: levels[level]}
	if e.params.optimal {
		e.optimal = newOptimizer(chunk)
	}
	return e, nil
}

// Append appends data, at most a chunk, to dst as whole blocks that end with a byte, and returns the extended slice.
// before is what goes before data in the stream, of which the last 32 KiB count. With last, the blocks end the
// stream. The bytes depend on these and the level alone, so that the chunks of a stream may be compressed in any order.
func (e *Encoder) Append(dst, before, data []byte, last bool) []byte {
	if len(data) > e.chunk {
		panic("deflate: more data than a chunk")
	}
	f := &e.finder
	f.load(before[max(0, len(before)-window):], data)
	e.parse()
	e.split.divide(data, e.seqs)
	if e.params.optimal {
		e.optimize()
		e.split.divide(data, e.seqs)
	}
	w := &e.w
	w.reset(dst)
	seqs, pos, n := 0, 0, len(e.split.parts)
	for i := 0; i < n; {
		p := &e.split.parts[i]
		w.block(data[pos:p.data], e.seqs[seqs:p.seqs], &p.counts, last && p.next == n)
		seqs, pos, i = p.seqs, p.data, p.next
	}
	switch {
	case !last: // a stored block ends with a byte
		w.stored(nil, 0)
	case n == 0:
		w.block(nil, nil, new(counts), true)
	}
	w.room(0)
	w.align()
	return w.take()
}
