package squashfsread

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
)

// smallImage is an image of a few KB with every table, where all that can be compressed is.
func smallImage(t testing.TB, args ...string) []byte {
	t.Helper()
	imagetest.NeedRoot(t, "mksquashfs")
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"file": artifacttest.Text(1, 9000), "tail": artifacttest.Text(2, 700), "other": artifacttest.Text(3, 500), "none": nil,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		name := filepath.Join(dir, fmt.Sprintf("dir/one of several files %d", i))
		if err := os.WriteFile(name, artifacttest.Text(i, 100), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	large := artifacttest.Text(4, 600)
	for _, err := range []error{
		os.Link(filepath.Join(dir, "tail"), filepath.Join(dir, "dir/hard link")),
		os.Symlink("target", filepath.Join(dir, "dir/symlink")),
		unix.Mknod(filepath.Join(dir, "dir/device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
		unix.Setxattr(filepath.Join(dir, "file"), "user.attribute", large, 0),
		unix.Setxattr(filepath.Join(dir, "dir"), "user.attribute", large, 0),
		os.Truncate(filepath.Join(dir, "none"), 12288),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	image := artifacttest.Squashfs(t, dir, append([]string{"-b", "4K", "-all-time", "1", "-mkfs-time", "1", "-nopad"}, args...)...)
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tell opens, verifies and describes the image in data.
func tell(t *testing.T, data []byte) (string, error) {
	r, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", err
	}
	if err := r.Verify(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%+v %q", r.Info().Squashfs, artifacttest.Describe(t, r, true)), nil
}

// check opens and verifies the image in data.
func check(data []byte) error {
	r, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	return r.Verify()
}

// silent are the bytes of a small image that tell something, but nothing else in the image tells what they should be.
func silent(t *testing.T, data []byte) map[int]string {
	t.Helper()
	list := map[int]string{}
	note := func(from, to int, why string) {
		for i := from; i < to; i++ {
			list[i] = why
		}
	}
	s := decodeSuperblock(data)
	note(8, 12, "time of creation")
	note(24, 26, "flags, of which some only tell how the image was made")
	at := int(le.Uint64(data[s.idTable:]))
	if le.Uint16(data[at:])&storedBit == 0 {
		t.Fatal("the id table is compressed")
	}
	note(at+2, int(s.idTable), "owners: four bytes, which do not compress, and have no checksum then")
	return list
}

// TestDamage changes every byte of images whose compressors have checksums. Verify has to tell; otherwise the byte
// carries nothing, so that all that is read is the same as before, or it is known to have no second witness.
func TestDamage(t *testing.T) {
	for _, compressor := range []string{"gzip", "xz"} {
		t.Run(compressor, func(t *testing.T) {
			data := smallImage(t, "-comp", compressor)
			want, err := tell(t, data)
			if err != nil {
				t.Fatal(err)
			}
			known := silent(t, data)
			empty := map[int]bool{}
			for i := range data {
				for _, mask := range []byte{0xff, 0x01, 0x80} {
					damaged := slices.Clone(data)
					damaged[i] ^= mask
					got, err := tell(t, damaged)
					switch {
					case err != nil:
					case got == want:
						empty[i] = true
					case known[i] == "":
						t.Errorf("byte %d: %02x became %02x without an error", i, data[i], damaged[i])
					}
				}
			}
			t.Logf("of %d bytes, %d can change without a change of what is read: %v", len(data), len(empty),
				slices.Sorted(maps.Keys(empty)))
			if len(empty) > len(data)/50 {
				t.Error("these are too many")
			}
		})
	}
}

// TestCutOff cuts images at every byte.
func TestCutOff(t *testing.T) {
	data := smallImage(t)
	for n := range data {
		if err := check(data[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are no error", n, len(data))
		}
	}
}

// TestCycle has a directory contain the one above it.
func TestCycle(t *testing.T) {
	imagetest.NeedRoot(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "outer/inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(artifacttest.Squashfs(t, dir, "-noI", "-no-exports"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	outer, err := r.lookup("outer")
	if err != nil {
		t.Fatal(err)
	}
	name := bytes.Index(data, []byte("inner")) // before it: the entry of 8 bytes, before that the header of 12
	le.PutUint32(data[name-16:], uint32(outer.ref>>16))
	le.PutUint32(data[name-12:], outer.number)
	le.PutUint16(data[name-8:], uint16(outer.ref))
	le.PutUint16(data[name-6:], 0)
	want := fmt.Sprintf(`squashfs: "outer/inner": directory with inode %d for the second time`, outer.number)
	if err := check(data); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// FuzzVerify has hostile images read. The seeds are images of all compressors.
func FuzzVerify(f *testing.F) {
	for _, name := range compressorNames[1:] {
		f.Add(smallImage(f, "-comp", name))
	}
	f.Add(smallImage(f, "-noI", "-noId", "-noD", "-noF", "-noX"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r *Reader
		var err error
		fuzztest.Limit(t, 64<<20+100*len(data), func() { r, err = Open(bytes.NewReader(data), int64(len(data))) })
		if err != nil {
			return
		}
		verified := r.Verify()
		n := 0
		for e, err := range r.Walk(".") {
			if err != nil {
				if verified == nil {
					t.Errorf("verified, but: %v", err)
				}
				return
			}
			if n++; n > 10_000 {
				return
			}
			_ = fmt.Sprint(e)
		}
	})
}
