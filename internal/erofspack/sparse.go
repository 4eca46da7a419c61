package erofspack

import (
	"bytes"
	"io"
	"slices"

	"github.com/fledge-build/fledge/internal/codec"
)

// What a chunk costs in the map of a chunked file and a block in the index of a compressed one, in bytes.
const (
	chunkCost = 4
	blockCost = 8
)

// leaveCompression stores the current file uncompressed without its zeros when that takes less: a sparse file, since
// compressed ones have no holes. Nothing but the file's end tells, so its extents are unpacked again.
func (p *pipeline) leaveCompression(r *record) error {
	if p.file.zeros == 0 || p.layout() != LZ4 {
		return nil
	}
	chunks := (r.Size + ChunkBlocks(r.Size)*BlockSize - 1) / (ChunkBlocks(r.Size) * BlockSize)
	stored := (p.pos-p.file.start)*BlockSize + uint64(len(p.file.tail)) + blocksOf(r.Size)*blockCost
	if r.Size-p.file.zeros+chunks*chunkCost >= stored {
		return nil
	}
	return p.unpackSparse(r)
}

// unpackSparse writes the current file behind itself, without compression and zeros, and moves it to its place.
func (p *pipeline) unpackSparse(r *record) error {
	spec, err := codec.ParseSpec("lz4", 0)
	if err != nil {
		return err
	}
	decoder, err := codec.NewDecoder(spec.ID())
	if err != nil {
		return err
	}
	old, end := p.file, p.pos
	p.file = current{start: end}
	s := &segment{chunk: int(ChunkBlocks(r.Size)) * BlockSize}
	at := int64(old.start) * BlockSize
	var disk, data []byte
	for _, e := range old.extents {
		disk = append(disk[:0], old.tail...)
		if e.Blocks > 0 {
			disk = slices.Grow(disk[:0], int(e.Blocks)*BlockSize)[:int(e.Blocks)*BlockSize]
			if _, err := p.f.ReadAt(disk, at); err != nil {
				return err
			}
			at += int64(len(disk))
		}
		if data, err = unpack(decoder, data, disk, e); err != nil {
			return err
		}
		for len(data) >= segmentSize {
			s.src = data[:segmentSize]
			if err := p.writeSparse(s); err != nil {
				return err
			}
			data = append(data[:0], data[segmentSize:]...)
		}
	}
	s.src = data
	if err := p.writeSparse(s); err != nil {
		return err
	}
	return p.moveDown(old.start, end)
}

// unpack appends to data what the blocks or the tail of an extent hold.
func unpack(decoder codec.Decoder, data, disk []byte, e Extent) ([]byte, error) {
	if e.Kind == Plain {
		return append(data, disk[:e.Length]...), nil
	}
	return decoder.Decode(data, bytes.TrimLeft(disk, "\x00"), int(e.Length))
}

func (p *pipeline) writeSparse(s *segment) error {
	s.out, s.tail, s.extents = s.out[:0], s.tail[:0], s.extents[:0]
	s.leaveOutZeros()
	return p.step(task{kind: segmentTask, segment: s})
}

// moveDown moves the blocks from end on to start, which is before it by at least their number.
func (p *pipeline) moveDown(start, end uint64) error {
	count := int64(p.pos-end) * BlockSize
	from := io.NewSectionReader(p.f, int64(end)*BlockSize, count)
	if _, err := io.Copy(io.NewOffsetWriter(p.f, int64(start)*BlockSize), from); err != nil {
		return err
	}
	p.pos -= end - start
	p.file.start = start
	return nil
}
