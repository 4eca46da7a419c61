package layerpack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/packfile"
)

// smallPack is a pack with something in every section.
func smallPack(t testing.TB) []byte {
	r, _ := build(t, options(t, "none"), func(b *Builder) error {
		return errors.Join(
			addFile(b, "small", text(1, 100)),
			addFile(b, "large", text(2, 2*codec.MinBlockSize+1)),
			b.Add(fstree.Entry{Path: "l", Type: fstree.Symlink, Link: "x", Xattrs: []fstree.Xattr{{Name: "user.x"}}}, nil, 0),
		)
	})
	b, err := os.ReadFile(r.File().Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAll opens the pack and reads its whole index.
func readAll(t testing.TB, pack []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pack")
	if err := os.WriteFile(path, pack, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, err := range r.Entries() {
		if err != nil {
			return err
		}
	}
	for i := range r.Contents() {
		c, err := r.Content(uint32(i))
		if err != nil {
			return err
		}
		checkContent(t, r, c)
	}
	if _, err := r.Content(uint32(r.Contents())); err == nil {
		t.Error("a content behind the last one")
	}
	return nil
}

// checkContent tells whether what a linker does with c stays in its bounds.
func checkContent(t testing.TB, r *Reader, c Content) {
	t.Helper()
	info, err := r.File().Stat()
	if err != nil {
		t.Fatal(err)
	}
	end := c.Offset
	for _, s := range c.Blocks {
		end += uint64(DiskSize(s))
	}
	if len(c.Blocks) > 0 && end > uint64(info.Size()) {
		t.Errorf("blocks end at %d of %d", end, info.Size())
	}
	if c.Fragment != NoFragment {
		fb := r.FragmentBlocks()[c.Fragment]
		if uint64(c.FragmentOffset)+c.Size > uint64(fb.Length) || fb.Offset+uint64(DiskSize(fb.Size)) > uint64(info.Size()) {
			t.Errorf("%+v in %+v", c, fb)
		}
	}
}

func TestDamagedPack(t *testing.T) {
	good := smallPack(t)
	if err := readAll(t, good); err != nil {
		t.Fatal(err)
	}
	index := 8 + 100 + 2*codec.MinBlockSize + 1
	for i := range good {
		if i < index && i > 100 && i%97 > 0 {
			continue
		}
		if err := readAll(t, good[:i]); err == nil {
			t.Fatalf("a pack cut at byte %d of %d is accepted", i, len(good))
		}
	}
	for i := range good {
		if 8 <= i && i < index {
			continue // data, which shows when it is read
		}
		b := slices.Clone(good)
		b[i] ^= 0x04
		if err := readAll(t, b); err == nil {
			t.Fatalf("a pack with byte %d of %d changed is accepted", i, len(good))
		}
	}
	if err := readAll(t, append(good, 0)); err == nil {
		t.Error("a pack with a byte more is accepted")
	}
	for _, c := range []struct {
		pack []byte
		want string
	}{
		{nil, "x.pack: too short for a layer pack"},
		{make([]byte, 1000), "x.pack: not a layer pack of this version"},
		{good[:len(good)-1], "the index is damaged or cut off; pack the layer again"},
	} {
		wantError(t, readAll(t, c.pack), c.want)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// seal corrects the hash of an index that was changed on purpose.
func seal(pack []byte) []byte {
	n := len(pack)
	footerSize := int(packKind.FooterSize())
	if n < packfile.MagicSize+footerSize {
		return pack
	}
	foot, err := decodeFooter(pack[n-footerSize:], int64(n))
	if err != nil {
		return pack
	}
	sum := sha256.Sum256(pack[foot.dataEnd : n-footerSize+packKind.HeadSize])
	copy(pack[n-footerSize+packKind.HeadSize:], sum[:])
	return pack
}

// TestHostilePack changes every byte of the index and corrects the hash: nothing may lead out of bounds.
func TestHostilePack(t *testing.T) {
	good := smallPack(t)
	accepted := 0
	for i := 8 + 100 + 2*codec.MinBlockSize + 1; i < len(good); i++ {
		for _, change := range []byte{1, 0x80, 0xff} {
			b := slices.Clone(good)
			b[i] ^= change
			if readAll(t, seal(b)) == nil {
				accepted++
			}
		}
	}
	if accepted == 0 {
		t.Error("seal does not work: nothing is accepted")
	}
}

func FuzzReader(f *testing.F) {
	good := smallPack(f)
	at := len(good) - 8 - 100 - 2*codec.MinBlockSize - 1 - packfile.MagicSize
	f.Add(good[len(good)-at:])
	f.Fuzz(func(t *testing.T, index []byte) {
		pack := slices.Concat(good[:len(good)-at], index)
		if bytes.HasSuffix(pack, []byte(packKind.Magic)) {
			pack = seal(pack)
		}
		fuzztest.Limit(t, 64<<20+100*len(pack), func() { readAll(t, pack) })
	})
}
