package zstdblock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// MinStreamLevel is the lowest level of a Writer.
	MinStreamLevel = 10
	// MinWindowLog and MaxWindowLog bound the windows of a Writer: 128 KiB and 8 MiB. Places must fit into posBits with
	// room to spare.
	MinWindowLog = 17
	MaxWindowLog = 23

	streamPerPosition = 4 // as perPosition
)

// Writer writes a stream of any length as one frame with a window, without content size, checksum and dictionary. It
// may be used for any number of frames, by one goroutine at a time. The bytes depend on the input, the level and the
// window alone.
//
// The stream is cut into zstd blocks that go through three stages: look (the tables of the finder), collect
// (candidates) and encode (parse and write). The stages work at the same time on three blocks that follow each other.
type Writer struct {
	w       io.Writer
	err     error // the first error; it sticks until Reset
	threads int
	window  int // bytes that buf holds without the padding behind
	zblock  int
	enc     *Encoder
	parser  *optimalParser
	buf     []byte // the last part of the stream
	end     int    // of what is in buf
	near    [2]distances
	found   [2]*found
	turn    int // counts rounds; the stages alternate between the two of near and found
	looked  span
	listed  span // candidates are collected
	out     []byte
}

// span is a zstd block, buf[lo:hi]; empty when there is none.
type span struct{ lo, hi int }

func (s span) empty() bool { return s.lo == s.hi }

// NewWriter returns a writer that needs Reset before use, at a level from MinStreamLevel to MaxLevel, with a window of
// 1<<windowLog bytes, MinWindowLog to MaxWindowLog. It works on threads goroutines, at least 1; more than three have
// nothing to do most of the time. Memory: see docs/zstd-encoder.md.
func NewWriter(level, windowLog, threads int) (*Writer, error) {
	if level < MinStreamLevel || level > MaxLevel {
		return nil, fmt.Errorf("zstd level %d of a stream: want %d to %d", level, MinStreamLevel, MaxLevel)
	}
	if windowLog < MinWindowLog || windowLog > MaxWindowLog {
		return nil, fmt.Errorf("zstd window of 1<<%d bytes: want %d to %d", windowLog, MinWindowLog, MaxWindowLog)
	}
	z := &Writer{threads: max(1, threads), window: 1 << windowLog, err: errors.New("zstd stream: Reset was not called")}
	z.zblock = min(maxZstdBlock, z.window/8) // several fit into the window
	z.parser = newOptimalParser(optimalLevels[level-MinStreamLevel], z.window)
	z.enc = newEncoder(z.parser, z.zblock)
	scan := &z.parser.scan
	z.buf = scan.buf[:z.window+padding]
	scan.buf = z.buf
	for i := range 2 {
		z.near[i] = scan.finder.newDistances(z.zblock)
		z.found[i] = scan.finder.newFound(z.zblock, streamPerPosition)
	}
	return z, nil
}

// Reset begins a frame that goes to w.
func (z *Writer) Reset(w io.Writer) {
	z.w, z.err = w, nil
	z.end, z.looked, z.listed = 0, span{}, span{}
	z.enc.reset()
	z.parser.scan.finder.begin(z.window)
	z.out = append(binary.LittleEndian.AppendUint32(z.out[:0], frameMagic), 0, windowDescriptor(z.window))
}

// windowDescriptor is that of RFC 8878 section 3.1.1.1.2, for a power of two.
func windowDescriptor(window int) byte {
	log := 0
	for 1<<(log+10) < window {
		log++
	}
	return byte(log << 3)
}

// Write compresses p. What it puts out may come later.
func (z *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && z.err == nil {
		next := z.next()
		// A block needs some bytes of what follows it too, for the hashes of its last positions.
		k := copy(z.buf[z.end:next.hi+padding], p)
		z.end += k
		n, p = n+k, p[k:]
		if z.end == next.hi+padding {
			z.add(next)
		}
	}
	return n, z.err
}

// next is the zstd block that is to be looked up next when the stream is long enough.
func (z *Writer) next() span { return span{z.looked.hi, z.looked.hi + z.zblock} }

// add takes in the next zstd block.
func (z *Writer) add(s span) {
	z.round(s, false)
	if z.next().hi > z.window {
		z.slide(z.window / 4)
	}
}

// Close ends the frame.
func (z *Writer) Close() error {
	if z.err != nil {
		return z.err
	}
	if z.end == 0 {
		z.out = appendBlockHeader(z.out, blockRaw, 0, true)
		z.flush()
	} else {
		for z.looked.hi < z.end {
			clear(z.buf[z.end:min(z.end+padding, len(z.buf))])
			z.add(span{z.looked.hi, min(z.next().hi, z.end)})
		}
		none := span{z.end, z.end}
		z.round(none, false)
		z.round(none, true)
	}
	if z.err != nil {
		return z.err
	}
	z.err = errors.New("zstd stream: it is closed")
	return nil
}

// round moves each block on by a stage: it looks up next, and encodes the one whose candidates are collected, which may
// be the last of the frame.
func (z *Writer) round(next span, last bool) {
	scan := &z.parser.scan
	this, before := z.turn&1, z.turn&1^1
	z.turn++
	looked, listed := z.looked, z.listed
	var tasks []func() // the longest first
	if !looked.empty() {
		tasks = append(tasks, func() {
			scan.finder.collect(z.found[this], z.near[before], z.buf, looked.lo, looked.hi)
		})
	}
	if !listed.empty() {
		tasks = append(tasks, func() { z.encode(listed, z.found[before], last) })
	}
	if !next.empty() {
		for k := range scan.finder.steps {
			tasks = append(tasks, func() { scan.finder.look(z.near[this], k, z.buf, next.lo, next.hi) })
		}
	}
	parallel(z.threads, tasks)
	z.looked, z.listed = next, looked
	z.flush()
}

// encode appends the block s of the candidates f to out.
func (z *Writer) encode(s span, f *found, last bool) {
	scan := &z.parser.scan
	scan.found = f
	scan.divide(s.lo, s.hi)
	for lo := s.lo; lo < s.hi; {
		hi := scan.split(lo, s.hi)
		z.out = z.enc.block(z.out, z.buf, lo, hi, last && hi == s.hi)
		lo = hi
	}
}

func (z *Writer) flush() {
	if _, err := z.w.Write(z.out); z.err == nil {
		z.err = err
	}
	z.out = z.out[:0]
}

// slide drops the first n bytes of buf, which are encoded.
func (z *Writer) slide(n int) {
	copy(z.buf, z.buf[n:z.end])
	z.end -= n
	for _, s := range []*span{&z.looked, &z.listed} {
		s.lo, s.hi = s.lo-n, s.hi-n
	}
	for _, f := range z.found {
		f.first -= n
	}
	z.parser.scan.finder.slide(n)
}

// parallel runs tasks, which do not depend on each other, on n goroutines. They start in order.
func parallel(n int, tasks []func()) {
	var started atomic.Int32
	work := func() {
		for i := int(started.Add(1)); i <= len(tasks); i = int(started.Add(1)) {
			tasks[i-1]()
		}
	}
	var others sync.WaitGroup
	for range min(n, len(tasks)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
