package verity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/verity/layout"
)

// file is an image: what is written goes to the file's end.
type file struct{ *os.File }

func (f file) Write(p []byte) (int, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	return f.WriteAt(p, end)
}

// newFile makes a file of size bytes that are zeros but for some here and there.
func newFile(t *testing.T, size int64) file {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < size; at += 1<<20 + 4097 {
		if _, err := f.WriteAt([]byte{byte(at>>8) | 1}, at); err != nil {
			t.Fatal(err)
		}
	}
	return file{f}
}

// sizes of file systems: one block, full and not; one level of hashes, full, and one block more; three levels.
var sizes = []int64{1, 4095, 4096, 4097, 128 * 4096, 128*4096 + 1, 300*4096 - 7, 128*128*4096 + 5000}

func TestAgainstVeritysetup(t *testing.T) {
	veritysetup := findVeritysetup(t)
	for _, size := range sizes {
		t.Run(strconv.FormatInt(size, 10), func(t *testing.T) {
			f := newFile(t, size)
			salt := layout.Hash(sha256.Sum256([]byte("salt")))
			p, err := Append(f, size, salt, 0)
			if err != nil {
				t.Fatal(err)
			}
			name, offset, root := f.Name(), strconv.FormatInt(p.HashOffset, 10), p.RootHash.String()
			run(t, true, veritysetup, "verify", name, name, root, "--hash-offset="+offset)
			dump := run(t, true, veritysetup, "dump", name, "--hash-offset="+offset)
			for _, want := range []string{
				"Hash type:       \t1\n", "Hash algorithm:  \tsha256\n", "Data block size: \t4096", "Hash block size: \t4096",
				"Data blocks:     \t" + strconv.FormatInt(p.DataBlocks, 10) + "\n", "Salt:            \t" + salt.String() + "\n",
			} {
				if !strings.Contains(dump, want) {
					t.Errorf("veritysetup dump has no %q in\n%s", want, dump)
				}
			}
			other := layout.Hash(sha256.Sum256(nil)).String()
			run(t, false, veritysetup, "verify", name, name, other, "--hash-offset="+offset)
			sameAsFormat(t, veritysetup, name, p, dump)
		})
	}
}

// sameAsFormat lets veritysetup make the tree over the same data: the files must not differ in a byte.
func sameAsFormat(t *testing.T, veritysetup, name string, p Params, dump string) {
	t.Helper()
	_, rest, _ := strings.Cut(dump, "UUID:            \t")
	uuid, _, _ := strings.Cut(rest, "\n")
	ours, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(again, ours[:p.HashOffset], 0o644); err != nil {
		t.Fatal(err)
	}
	said := run(t, true, veritysetup, "format", again, again, "--hash-offset="+strconv.FormatInt(p.HashOffset, 10),
		"--data-blocks="+strconv.FormatInt(p.DataBlocks, 10), "--salt="+p.Salt.String(), "--uuid="+uuid)
	if !strings.Contains(said, p.RootHash.String()) {
		t.Errorf("the root hash is %s, veritysetup says\n%s", p.RootHash, said)
	}
	theirs, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	theirs = append(theirs, make([]byte, max(0, len(ours)-len(theirs)))...) // without a tree it ends with the superblock's 512 bytes
	if !bytes.Equal(ours, theirs) {
		t.Error("veritysetup format makes another file")
	}
}

func findVeritysetup(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"veritysetup", "/usr/sbin/veritysetup"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("needs veritysetup: apt install cryptsetup-bin")
	return ""
}

func run(t *testing.T, good bool, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if (err == nil) != good {
		t.Errorf("%s %s: %v, want success %v\n%s", name, strings.Join(args, " "), err, good, out)
	}
	return string(out)
}

// TestGolden guards the bytes: who pins a root hash wants it to stay.
func TestGolden(t *testing.T) {
	for size, want := range map[int64]string{
		5000:         "241c533144f89ce6 eeb198c40519e0edee8a4120365b2275eccc57df24d312fd48a4e31d3a810104", // two blocks
		130*4096 + 1: "77b3077774904752 0c32fad25bc42be6ba45bcc44a35efc53d8f937044b7a76c2be1dbff7a54e326", // two levels
	} {
		f := newFile(t, size)
		p, err := Append(f, size, layout.Hash(sha256.Sum256([]byte("golden"))), 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if got := p.RootHash.String()[:16] + " " + hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%d bytes: got %s, want %s", size, got, want)
		}
	}
}

// TestJobs holds that the number of cores changes nothing.
func TestJobs(t *testing.T) {
	const size = 2000*4096 - 1
	var first []byte
	for _, jobs := range []int{1, 2, 7, 0} {
		f := newFile(t, size)
		if _, err := Append(f, size, layout.Hash{}, jobs); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Errorf("%d jobs give other bytes", jobs)
		}
	}
}

func TestAppendErrors(t *testing.T) {
	if _, err := Append(newFile(t, 0), 0, layout.Hash{}, 0); err == nil || err.Error() != "dm-verity: the file system is empty" {
		t.Errorf("an empty file system: error %v", err)
	}
	// A file that is shorter than is said.
	const want = "dm-verity: read the file system at byte 8192: EOF"
	if _, err := Append(newFile(t, 8192), 3*4096, layout.Hash{}, 0); err == nil || err.Error() != want {
		t.Errorf("a short file: error %v, want %s", err, want)
	}
	closed := newFile(t, 4096)
	closed.Close()
	if _, err := Append(closed, 4096, layout.Hash{}, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: error %v", err)
	}
}
