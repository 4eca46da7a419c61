package layout

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// counting is a hash whose bytes count up.
func counting(from byte) (h Hash) {
	for i := range h {
		h[i] = from + byte(i)
	}
	return h
}

func TestHash(t *testing.T) {
	h := counting(0x8a)
	want := hex.EncodeToString(h[:])
	if got := h.String(); got != want {
		t.Errorf("String gave %s, want %s", got, want)
	}
	if got, err := ParseHash(want); got != h || err != nil {
		t.Errorf("ParseHash gave %s, %v", got, err)
	}
	for _, bad := range []string{"", want[1:], want + "0", strings.ToUpper(want), "0x" + want[2:], want[:63] + " ", want[:62] + "ü"} {
		if got, err := ParseHash(bad); err == nil || got != (Hash{}) || !strings.Contains(err.Error(), "is not 64 lower-case hex digits") {
			t.Errorf("ParseHash(%q) gave %s, %v", bad, got, err)
		}
	}
}

// TestSuperblock guards the bytes of the format.
func TestSuperblock(t *testing.T) {
	root, salt := counting(0xf0), counting(0x40)
	got := Superblock(root, salt, 0x0102030405)
	const want = "7665726974790000" + "01000000" + "01000000" + // signature, version, hash type
		"f0f1f2f3f4f586f7b8f9fafbfcfdfeff" + // UUID
		"7368613235360000000000000000000000000000000000000000000000000000" + // algorithm
		"00100000" + "00100000" + "0504030201000000" + "2000" + "000000000000" + // sizes, data blocks, salt's size, padding
		"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
	if s := hex.EncodeToString(got[:len(want)/2]); s != want {
		t.Errorf("got\n%s, want\n%s", s, want)
	}
	if len(got) != BlockSize || len(bytes.Trim(got[len(want)/2:], "\x00")) > 0 {
		t.Errorf("%d bytes, of which the rest is not zeros", len(got))
	}
	if Salt(got) != salt {
		t.Errorf("the salt is %s", Salt(got))
	}
}

// TestMismatch changes every byte.
func TestMismatch(t *testing.T) {
	root, salt := counting(1), counting(2)
	block := Superblock(root, salt, 7)
	for i := range block {
		block[i] ^= 0x10
		want := i
		if i >= saltAt && i < saltAt+len(salt) {
			want = -1 // any salt will do here: with a changed one, no hash is right
		}
		if got := Mismatch(block, root, 7); got != want || InUUID(i) != (i >= 16 && i < 32) {
			t.Errorf("byte %d changed: found %d, in the UUID %v", i, got, InUUID(i))
		}
		block[i] ^= 0x10
	}
	if got := Mismatch(block, root, 7); got != -1 {
		t.Errorf("byte %d of the right block differs", got)
	}
	if got := Mismatch(block, counting(3), 7); !InUUID(got) {
		t.Errorf("another root hash differs at byte %d, want one of the UUID", got)
	}
	if got := Mismatch(block, root, 8); got != 72 {
		t.Errorf("another number of blocks differs at byte %d, want 72", got)
	}
}

func TestLevels(t *testing.T) {
	for blocks, want := range map[uint64][]uint64{
		1: nil, 2: {1}, 128: {1}, 129: {1, 2}, 128 * 128: {1, 128}, 128*128 + 1: {1, 2, 129}, 1 << 40: {1, 32, 4096, 1 << 19, 1 << 26, 1 << 33},
	} {
		if got := Levels(blocks); !slices.Equal(got, want) {
			t.Errorf("%d blocks: levels of %d blocks, want %d", blocks, got, want)
		}
	}
}

// FuzzMismatch holds that a block that is taken is the superblock, byte by byte.
func FuzzMismatch(f *testing.F) {
	f.Add(Superblock(counting(1), counting(2), 3), bytes.Repeat([]byte{1}, 32), uint64(3))
	f.Add([]byte("verity\x00\x00"), []byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, head, rootHash []byte, blocks uint64) {
		block := make([]byte, BlockSize)
		copy(block, head)
		var root Hash
		copy(root[:], rootHash)
		at := Mismatch(block, root, blocks)
		want := Superblock(root, Salt(block), blocks)
		if (at == -1) != bytes.Equal(block, want) || at >= 0 && (block[at] == want[at] || !bytes.Equal(block[:at], want[:at])) {
			t.Errorf("says that byte %d differs", at)
		}
	})
}
