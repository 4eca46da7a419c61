package badinput

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/fledge-build/fledge/e2e/layers"
)

// layer is a tar of the entries; regular files have their name as content.
func layer(entries ...tar.Header) []byte {
	data, err := layers.Tar(func(w *layers.Writer) error {
		for _, h := range entries {
			var body io.Reader
			if h.Typeflag == tar.TypeReg {
				h.Size, body = int64(len(h.Name)), strings.NewReader(h.Name)
			}
			if err := w.Add(&h, body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		panic(err) // the tests' own entries are wrong
	}
	return data
}

func file(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
func dir(name string) tar.Header  { return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755} }
func link(kind byte, name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: kind, Linkname: target, Mode: 0o777}
}

// large is a good layer of about 500 KB that hardly compresses.
func large() []byte {
	var noise []byte
	for i := range 16000 {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		noise = append(noise, sum[:]...)
	}
	data, err := layers.Tar(func(w *layers.Writer) error {
		h := file("usr/lib/noise")
		h.Size = int64(len(noise))
		return w.Add(&h, bytes.NewReader(noise))
	})
	if err != nil {
		panic(err)
	}
	return data
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data) // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}

func zstded(data []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(data, nil)
}

func is(data []byte) func(*testing.T) []byte { return func(*testing.T) []byte { return data } }

func cut(data []byte, at int) []byte { return data[:at] }

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x10
	return data
}

// The layers are damaged on the way.
func TestDamagedLayer(t *testing.T) {
	plain, gz, zst := large(), gzipped(large()), zstded(large())
	var tests []badInput
	add := func(name string, data []byte, says ...string) {
		tests = append(tests, badInput{name, packData(is(data)), append(says, "layer.blob")})
	}
	for _, at := range []int{1, 3, 11, 700, len(gz) / 2, len(gz) - 9, len(gz) - 1} {
		add(fmt.Sprintf("gzip cut off at %d", at), cut(gz, at))
	}
	for _, at := range []int{1, 3, 5, 700, len(zst) / 2, len(zst) - 5, len(zst) - 1} {
		add(fmt.Sprintf("zstd cut off at %d", at), cut(zst, at))
	}
	for _, at := range []int{100, 513, 700, len(plain) / 2} {
		add(fmt.Sprintf("tar cut off at %d", at), cut(plain, at))
	}
	for _, at := range []int{2, 20, 1000, len(gz) / 2, len(gz) - 8, len(gz) - 2} {
		add(fmt.Sprintf("gzip with a flipped bit at %d", at), flip(gz, at))
	}
	for _, at := range []int{5, 20, 1000, len(zst) / 2, len(zst) - 2} {
		add(fmt.Sprintf("zstd with a flipped bit at %d", at), flip(zst, at))
	}
	for _, at := range []int{3, 110, 130, 150} {
		add(fmt.Sprintf("tar with a flipped bit at %d", at), flip(plain, at), "tar+gzip")
	}
	add("gzip followed by garbage", append(bytes.Clone(gz), "garbage after the end"...))
	add("zstd followed by garbage", append(bytes.Clone(zst), "garbage after the end"...))
	run(t, tests)
}

func TestWrongDigest(t *testing.T) {
	data := gzipped(large())
	right := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	wrong := "sha256:" + strings.Repeat("0", 64)
	run(t, []badInput{
		{"another digest", packData(is(data), "--digest", wrong), []string{"layer.blob", wrong, right}},
		{"a changed layer", packData(is(flip(data, len(data)/2)), "--digest", right), []string{"layer.blob", right}},
		{"bytes behind the end", packData(is(append(bytes.Clone(data), 0)), "--digest", right), []string{"layer.blob", right}},
	})
}

func TestUnknownFormat(t *testing.T) {
	const accepted = "gzip"
	run(t, []badInput{
		{"nothing", packData(is(nil)), []string{"layer.blob", "empty"}},
		{"text", packData(is(bytes.Repeat([]byte("not a layer\n"), 100))), []string{"layer.blob", accepted, "zstd", "tar"}},
		{"bzip2", packData(is([]byte("BZh91AY&SY0000000000000000000000000000000000000"))), []string{"layer.blob", "bzip2", accepted}},
		{"xz", packData(is([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00!\x01"))), []string{"layer.blob", "xz", accepted}},
		{"zip", packData(is([]byte("PK\x03\x04" + strings.Repeat("\x00", 600)))), []string{"layer.blob", accepted}},
		{"gzip of text", packData(is(gzipped(bytes.Repeat([]byte("not a tar\n"), 100)))), []string{"layer.blob", "tar"}},
		{"gzip of gzip", packData(is(gzipped(gzipped(large())))), []string{"layer.blob", "tar"}},
		{"a folder", func(t *testing.T, dir, out string) []string {
			return []string{"pack", "--layer", dir, "--out", out + "/layer.pack"}
		}, []string{"directory"}},
		{"no file", func(t *testing.T, dir, out string) []string {
			return []string{"pack", "--layer", dir + "/none", "--out", out + "/layer.pack"}
		}, []string{"/none", "no such file"}},
	})
}

// Names and links that lead out of the root, and other entries that cannot be in a file system.
func TestHostileEntry(t *testing.T) {
	tests := []badInput{}
	add := func(name string, data []byte, says ...string) {
		tests = append(tests, badInput{name, packData(is(data)), append(says, "layer.blob")})
	}
	add("a name with ..", layer(file("../outside")), `"../outside"`)
	add("a name with .. inside", layer(dir("a"), file("a/../../outside")), "a/../../outside")
	add("an absolute name", layer(file("/etc/passwd")), `"/etc/passwd"`)
	add("a folder ..", layer(dir("..")), `".."`)
	add("a whiteout with ..", layer(file("../.wh.outside")), `"../.wh.outside"`)
	add("a hard link that climbs out", layer(link(tar.TypeLink, "shadow", "../../etc/shadow")), `"shadow"`, "../../etc/shadow")
	add("an absolute hard link", layer(link(tar.TypeLink, "shadow", "/etc/shadow")), `"shadow"`, "/etc/shadow")
	add("a name of 256 bytes", layer(file("a/"+strings.Repeat("n", 256))), "255")
	add("a symlink to nothing at all", layer(link(tar.TypeSymlink, "s", "")), `"s"`)
	add("a file that is called .", layer(file(".")), `"."`)
	add("too large an owner", layer(tar.Header{Name: "a", Typeflag: tar.TypeReg, Uid: 1 << 40}), `"a"`)
	add("a size that is not there", lying(5<<40), "claims")
	add("a sparse file of exabytes", sparseBomb(), "huge")
	run(t, tests)
}

// lying is a layer whose one file has a header that promises more than there is.
func lying(size int64) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "claims", Typeflag: tar.TypeReg, Size: size, Format: tar.FormatPAX}); err != nil {
		panic(err)
	}
	b.WriteString("little")
	return b.Bytes()
}

func sparseBomb() []byte {
	data, err := layers.Tar(func(w *layers.Writer) error {
		h := file("huge")
		h.Size = 1 << 60
		return w.AddSparse(&h, []layers.Segment{{Offset: 1<<60 - 3, Data: []byte("end")}})
	})
	if err != nil {
		panic(err)
	}
	return data
}
