package unpack

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"github.com/fledge-build/fledge/e2e/initramfs"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/cpio"
)

// These tests hold no image of Fledge against the kernel, but what Fledge's linker takes for granted: which archives the
// kernel unpacks, which it unpacks otherwise than one would think, and which it drops.

// inode gives an entry a number and a count of links of its own, which make hard links.
func inode(e initramfs.Entry, number, links uint32) initramfs.Entry {
	e.Inode, e.Links = number, links
	return e
}

// records are the entries of an archive without its trailer. Entries without a number get one that no other has.
func records(t *testing.T, entries ...initramfs.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for i, e := range entries {
		if e.Inode == 0 {
			e.Inode = 1000 + uint32(i)
		}
		e.Size = int64(len(e.Content))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.Content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// archive is records and a trailer.
func archive(t *testing.T, entries ...initramfs.Entry) []byte {
	t.Helper()
	b := bytes.NewBuffer(records(t, entries...))
	w := cpio.NewWriter(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, header gzip.Header, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Header = header
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zstdFrame holds data (below 128 KiB) in one raw block (RFC 8878, section 3.1.1), without content size and checksum.
func zstdFrame(windowLog int, data []byte) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(windowLog-10) << 3}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(data))<<3|1)
	return append(append(b, head[:3]...), data...)
}

func xzStream(t *testing.T, check byte, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 20, CheckSum: check, NoCheckSum: check == xz.None}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func lz4Legacy(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(lz4.LegacyOption(true)); err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// segments joins the pieces of an initramfs; a number is as many zero bytes.
func segments(t *testing.T, pieces ...any) []byte {
	t.Helper()
	var b []byte
	for _, piece := range pieces {
		switch p := piece.(type) {
		case int:
			b = append(b, make([]byte, p)...)
		case []byte:
			b = append(b, p...)
		default:
			t.Fatalf("%T is no piece", piece)
		}
	}
	return b
}

// align is the zero bytes up to the next multiple of 4.
func align(n int) int { return (4 - n%4) % 4 }

// program is the first segment of every image: what the guest needs to tell of the others.
func (k kit) program(t *testing.T) []byte {
	t.Helper()
	guest, err := os.ReadFile(k.guest)
	if err != nil {
		t.Fatal(err)
	}
	return archive(t, append(initramfs.Devices(), initramfs.File("init", 0o755, string(guest)))...)
}

// boot512 unpacks the pieces behind the program; it gives the guest's lines by path and all that was on the console.
func (k kit) boot512(t *testing.T, pieces ...any) (lines map[string]string, console string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "initramfs")
	if err := os.WriteFile(image, segments(t, append([]any{k.program(t)}, pieces...)...), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := toolrun.Run(k.boot, "--kernel", k.kernel, "--initramfs", image, "--memory-mb", "512", "--verbose",
		"--cmdline", "quiet loglevel=3", "--timeout", "120", "--expect", "guest: done <nil>")
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Output)
	}
	return byPath(r.Output, "guest: "), r.Output
}

// checkLines looks for texts in the guest's lines by path; "" is a path that must not be there.
func checkLines(t *testing.T, lines, want map[string]string) {
	t.Helper()
	for path, text := range want {
		line, ok := lines[path]
		if text == "" && ok || text != "" && !strings.Contains(line, text) {
			t.Errorf("%s: the guest has %q, want %q", path, line, text)
		}
	}
}

const failed = "nitramfs unpacking failed"

// TestKernelTakes has, in a folder for each rule, what the kernel unpacks as it is meant.
func TestKernelTakes(t *testing.T) {
	k := newKit(t)
	small := func(name string) []byte {
		return records(t, initramfs.Dir("mixed", 0o755), initramfs.File("mixed/"+name, 0o644, name))
	}
	// Compressors after each other with zero bytes between. What is not compressed must begin at a multiple of 4, and so
	// must what follows it.
	mixed := segments(t, gzipped(t, gzip.Header{Name: "with a name"}, small("gzip")), zstdFrame(20, small("zstd")), 3,
		xzStream(t, xz.CRC32, small("xz")), 512, xzStream(t, xz.None, small("xz-unchecked")), 1, zstdFrame(27, small("zstd-27")))
	plain := segments(t, align(len(mixed)), small("none"), 4, gzipped(t, gzip.Header{}, small("gzip-behind-none")))

	over := gzipped(t, gzip.Header{}, records(t, initramfs.Dir("over", 0o755),
		initramfs.File("over/file", 0o644, "a longer text"), initramfs.File("over/to-link", 0o644, "x"),
		initramfs.Link("over/to-file", "file"), initramfs.File("over/to-dir", 0o644, "x"), initramfs.Dir("over/empty", 0o755),
		initramfs.File("over/mode", 0o600, "x")))
	overriding := gzipped(t, gzip.Header{}, records(t, initramfs.File("over/file", 0o644, "short"),
		initramfs.Link("over/to-link", "file"), initramfs.File("over/to-file", 0o644, "file"), initramfs.Dir("over/to-dir", 0o711),
		initramfs.File("over/empty", 0o644, "no folder"), initramfs.File("over/mode", 0o4755, "x")))

	linked := func(name, data string) initramfs.Entry { return initramfs.File("links/"+name, 0o644, data) }
	links := gzipped(t, gzip.Header{}, archive(t, initramfs.Dir("links", 0o755),
		inode(linked("first-a", "data"), 1, 2), inode(linked("first-b", ""), 1, 2),
		inode(linked("last-a", ""), 2, 2), inode(linked("last-b", "data"), 2, 2),
		inode(linked("every-a", "data"), 3, 2), inode(linked("every-b", "data"), 3, 2)))
	again := gzipped(t, gzip.Header{}, archive(t, inode(linked("again-a", "other"), 1, 2), inode(linked("again-b", ""), 1, 2)))

	odd := initramfs.File("odd/last", 0o644, "")
	odd.UID, odd.GID, odd.ModTime = 1<<32-2, 1<<31, 1<<32-1
	fields := gzipped(t, gzip.Header{}, records(t, initramfs.Dir("./odd", 0o755), initramfs.File("/odd/slash", 0o644, "1"),
		initramfs.File("odd//twice", 0o644, "2"), initramfs.File("./odd/dot", 0o644, "3"), odd))

	lines, console := k.boot512(t, mixed, plain, 7, over, overriding, links, again, fields)
	if strings.Contains(console, failed) {
		t.Errorf("the kernel did not unpack all of it:\n%s", console)
	}
	checkLines(t, lines, map[string]string{
		"mixed/gzip": " 4 bytes", "mixed/zstd": " 4 bytes", "mixed/xz": " 2 bytes", "mixed/xz-unchecked": " 12 bytes",
		"mixed/zstd-27": " 7 bytes", "mixed/none": " 4 bytes", "mixed/gzip-behind-none": " 16 bytes",
		"over/file": " 5 bytes", "over/to-link": `-> "file"`, "over/to-file": " 100644 ", "over/to-dir": " 040711 ",
		"over/empty": " 9 bytes", "over/mode": " 104755 ",
		"links/first-b": `links 2 "links/first-a" 4 bytes`, "links/last-b": `links 2 "links/last-a" 4 bytes`,
		"links/every-b": `links 2 "links/every-a" 4 bytes`, "links/first-a": " 4 bytes",
		"links/again-b": `links 2 "links/again-a" 5 bytes`,
		"odd/slash":     " 1 bytes", "odd/twice": " 1 bytes", "odd/dot": " 1 bytes",
		"odd/last": " 4294967294:2147483648 4294967295 ",
	})
}

// TestKernelMistakes has what the kernel unpacks without a word, but not as it is meant, so that the linker has to see to
// it: it compresses again what a later layer replaces or links, writes folders first, and numbers links by their names.
func TestKernelMistakes(t *testing.T) {
	k := newKit(t)
	first := gzipped(t, gzip.Header{}, archive(t, initramfs.Dir("d", 0o755), inode(initramfs.File("d/one", 0o644, "old"), 1, 2),
		inode(initramfs.File("d/two", 0o644, ""), 1, 2), initramfs.Dir("d/full", 0o755), initramfs.File("d/full/x", 0o644, "x")))
	second := gzipped(t, gzip.Header{}, records(t, initramfs.File("d/one", 0o644, "newer"), initramfs.Link("d/full", "one"),
		initramfs.File("missing/file", 0o644, "x"), inode(initramfs.File("d/a", 0o644, "12"), 7, 2)))
	third := gzipped(t, gzip.Header{}, records(t, inode(initramfs.File("d/b", 0o644, "345"), 7, 2)))
	lines, console := k.boot512(t, first, second, third)
	if strings.Contains(console, failed) {
		t.Errorf("the kernel should unpack all of it:\n%s", console)
	}
	checkLines(t, lines, map[string]string{
		"d/two":        " 5 bytes",            // written through the link that the second archive knows nothing of
		"d/full":       " 040755 ",            // a folder that is not empty stays one
		"d/b":          `links 2 "d/a" 3 `,    // no trailer between: numbers of another segment count
		"d/a":          `links 2 "d/a" 3 byt`, // and its data is lost
		"missing/file": "",                    // no folder, no file
	})
}

// TestKernelRefuses has what stops the kernel: it says so, and drops what follows.
func TestKernelRefuses(t *testing.T) {
	k := newKit(t)
	whole := records(t, initramfs.File("here", 0o644, strings.Repeat("text ", 2000)), initramfs.File("also", 0o644, "x"))
	after := gzipped(t, gzip.Header{}, archive(t, initramfs.File("after", 0o644, "x")))
	long := noise(100 << 10)
	packed := gzipped(t, gzip.Header{}, archive(t, initramfs.File("here", 0o644, long)))
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, "skip"...)
	for _, c := range []struct {
		name   string
		pieces []any
	}{
		{"split inside of a record", []any{gzipped(t, gzip.Header{}, whole[:500]), gzipped(t, gzip.Header{}, whole[500:]), after}},
		{"zstd skippable frame", []any{skippable, zstdFrame(20, whole), after}},
		{"zstd window of 2^28", []any{zstdFrame(28, whole), after}},
		{"gzip with an extra field", []any{gzipped(t, gzip.Header{Extra: []byte("extra")}, whole), after}},
		{"xz with CRC64", []any{xzStream(t, xz.CRC64, whole), after}},
		{"lz4 before another", []any{lz4Legacy(t, whole), after}},
		{"uncompressed at an odd place", []any{gzipped(t, gzip.Header{}, whole), 1 + align(len(gzipped(t, gzip.Header{}, whole))), whole, after}},
		{"compressed at an odd place behind uncompressed", []any{whole, 1, after}},
		{"garbage at the end", []any{[]byte("garbage"), after}},
		{"cut off", []any{packed[:len(packed)/2]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines, console := k.boot512(t, c.pieces...)
			if !strings.Contains(console, failed) {
				t.Errorf("no word of it on the console:\n%.2000s", console)
			}
			checkLines(t, lines, map[string]string{"after": ""})
			if c.name == "cut off" && strings.HasSuffix(lines["here"], fmt.Sprintf("%x", sha256.Sum256([]byte(long)))) {
				t.Errorf("%q should be cut off", lines["here"])
			}
		})
	}
}
