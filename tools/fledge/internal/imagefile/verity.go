package imagefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/internal/verity/layout"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/naming"
)

// Info is that of the artifact, with the hash tree behind it.
func (im *Image) Info() *artifact.Info {
	info := im.Artifact.Info()
	info.Verity = im.verity
	return info
}

// end is where the file system of an image ends, in whole blocks; 0 when it is none.
func end(info *artifact.Info) int64 {
	size := int64(0)
	switch {
	case info.Squashfs != nil:
		size = info.Squashfs.BytesUsed
	case info.FileSystem != nil:
		size = int64(info.FileSystem.Bytes)
	}
	return (size + layout.BlockSize - 1) / layout.BlockSize * layout.BlockSize
}

// findVerity reads the superblock of dm-verity behind a file system, as veritysetup writes it; nil when there is none.
func findVerity(r io.ReaderAt, info *artifact.Info) (*artifact.VerityInfo, error) {
	at := end(info)
	if at == 0 || at > info.Size-layout.BlockSize {
		return nil, nil
	}
	b := make([]byte, layout.BlockSize)
	if _, err := r.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("read at byte %d: %w", at, err)
	}
	if !bytes.HasPrefix(b, []byte(layout.Signature)) {
		return nil, nil
	}
	le := binary.LittleEndian
	algorithm, _, _ := bytes.Cut(b[32:64], []byte{0})
	v := &artifact.VerityInfo{
		Algorithm: string(algorithm), DataBlockSize: le.Uint32(b[64:]), HashBlockSize: le.Uint32(b[68:]), DataBlocks: le.Uint64(b[72:]),
		HashOffset: at, Salt: hex.EncodeToString(b[88 : 88+min(256, le.Uint16(b[80:]))]),
	}
	if known(v, b) {
		root, err := rootHash(r, v, layout.Salt(b))
		if err != nil {
			return nil, err
		}
		v.RootHash = root.String()
	}
	return v, nil
}

// known tells whether the tree is of the only form that Fledge writes and checks.
func known(v *artifact.VerityInfo, superblock []byte) bool {
	hashType := binary.LittleEndian.Uint32(superblock[12:])
	return v.Algorithm == "sha256" && v.DataBlockSize == layout.BlockSize && v.HashBlockSize == layout.BlockSize &&
		v.DataBlocks > 0 && v.DataBlocks == uint64(v.HashOffset/layout.BlockSize) && len(v.Salt) == 2*len(layout.Hash{}) && hashType == 1
}

// rootHash is the hash of what is at the top of the tree: its first block, or the only one of the file system.
func rootHash(r io.ReaderAt, v *artifact.VerityInfo, salt layout.Hash) (layout.Hash, error) {
	at := v.HashOffset + layout.BlockSize
	if v.DataBlocks == 1 {
		at = 0
	}
	b := make([]byte, len(salt)+layout.BlockSize)
	copy(b, salt[:])
	if n, err := r.ReadAt(b[len(salt):], at); n < layout.BlockSize {
		return layout.Hash{}, fmt.Errorf("the hash tree of dm-verity is cut off: read at byte %d: %w", at, err)
	}
	return sha256.Sum256(b), nil
}

// params are those of the hash tree, which has to be of the known form.
func params(v *artifact.VerityInfo) (p verity.Params, err error) {
	p = verity.Params{
		Algorithm: v.Algorithm, DataBlockSize: int64(v.DataBlockSize), HashBlockSize: int64(v.HashBlockSize),
		DataBlocks: int64(v.DataBlocks), HashOffset: v.HashOffset,
	}
	if p.RootHash, err = layout.ParseHash(v.RootHash); err == nil {
		p.Salt, err = layout.ParseHash(v.Salt)
	}
	return p, err
}

// verifyVerity compares the hash tree with what the manifest and NAME.verity.json say, and everything with the tree.
func (im *Image) verifyVerity() error {
	said, err := im.saidVerity()
	if err != nil {
		return err
	}
	if im.verity == nil || im.verity.RootHash == "" {
		for name := range said {
			return fmt.Errorf("%s has a root hash of dm-verity, and there is no such hash tree behind the file system: "+
				"one of the two is of another build; build both anew", name)
		}
		return nil
	}
	p, err := params(im.verity)
	if err != nil {
		return err
	}
	for name, want := range said {
		if want != p {
			return fmt.Errorf("its root hash of dm-verity is %s with the salt %s, and %s says %s and %s: "+
				"one of the two is of another build, or changed since; build both anew", p.RootHash, p.Salt, name, want.RootHash, want.Salt)
		}
	}
	return verity.Verify(im.r, p, 0)
}

// saidVerity are the parameters of dm-verity that files beside the image say it has, by the name of the file.
func (im *Image) saidVerity() (map[string]verity.Params, error) {
	said := map[string]verity.Params{}
	if m := im.Manifest; m != nil && m.Checksum != "" && m.RootFS != nil && m.RootFS.Verity != nil && names(m.Name, m.RootFS, im.Name) {
		said[m.Name] = *m.RootFS.Verity
	}
	name := naming.Stem(im.Name) + ".verity.json"
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return said, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, verity.MaxJSON+1))
	if err != nil {
		return nil, err
	}
	said[name], err = verity.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return said, nil
}
