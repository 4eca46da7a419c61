package verity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/verity/layout"
)

const (
	algorithm = "sha256"

	// MaxJSON is more than the JSON of Params takes, in bytes.
	MaxJSON = 1 << 10

	maxBlocks = 1 << 40 // 4 PiB, more than any image has
)

// Params are what dm-verity needs to know of an image. Keys are written in the order of the fields.
type Params struct {
	Algorithm     string      `json:"algorithm"`       // "sha256"
	DataBlockSize int64       `json:"data_block_size"` // bytes: 4096
	HashBlockSize int64       `json:"hash_block_size"` // bytes: 4096
	DataBlocks    int64       `json:"data_blocks"`     // of the file system, with its padding
	HashOffset    int64       `json:"hash_offset"`     // of the superblock, in bytes: where the file system with its padding ends
	RootHash      layout.Hash `json:"root_hash"`
	Salt          layout.Hash `json:"salt"`
}

// JSON renders p as one line, with a newline at its end.
func (p Params) JSON() []byte {
	line, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and ASCII
	}
	return append(line, '\n')
}

// Parse reads what JSON wrote, and nothing else.
func Parse(b []byte) (Params, error) {
	var p Params
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err == io.EOF || err == io.ErrUnexpectedEOF {
		return Params{}, fmt.Errorf("the parameters of dm-verity are cut off after %d bytes", len(b))
	} else if err != nil {
		return Params{}, fmt.Errorf("not the parameters of dm-verity: %w", err)
	}
	if err := p.check(); err != nil {
		return Params{}, err
	}
	if want := p.JSON(); !bytes.Equal(b, want) {
		return Params{}, fmt.Errorf("the parameters of dm-verity are not in the form that Fledge writes, which is %s", want[:len(want)-1])
	}
	return p, nil
}

func (p Params) check() error {
	switch {
	case p.Algorithm != algorithm:
		return fmt.Errorf("algorithm %q is not %q", p.Algorithm, algorithm)
	case p.DataBlockSize != layout.BlockSize:
		return fmt.Errorf("data_block_size %d is not %d", p.DataBlockSize, layout.BlockSize)
	case p.HashBlockSize != layout.BlockSize:
		return fmt.Errorf("hash_block_size %d is not %d", p.HashBlockSize, layout.BlockSize)
	case p.DataBlocks < 1 || p.DataBlocks > maxBlocks:
		return fmt.Errorf("data_blocks %d is not in 1 to %d", p.DataBlocks, int64(maxBlocks))
	case p.HashOffset != p.DataBlocks*layout.BlockSize:
		return fmt.Errorf("hash_offset %d is not where %d data blocks end, %d", p.HashOffset, p.DataBlocks, p.DataBlocks*layout.BlockSize)
	}
	return nil
}
