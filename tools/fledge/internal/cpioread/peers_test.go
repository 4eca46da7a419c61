package cpioread

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact/artifacttest"
)

func open(t testing.TB, data []byte) *Reader {
	t.Helper()
	r, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// filter gives what a program makes of data.
func filter(t testing.TB, data []byte, command ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("%s is not installed", command[0])
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, stderr.String())
	}
	return out
}

// tools compress as makers of an initramfs do.
var tools = map[string][]string{
	"none": {"cat"}, "gzip": {"gzip", "-n"}, "bzip2": {"bzip2"}, "lzma": {"xz", "--format=lzma"},
	"xz": {"xz", "--check=crc32"}, "zstd": {"zstd", "-q"}, "lz4": {"lz4", "-lq"},
}

// described is what imagetest tells of a tree, as an archive holds it: the kernel makes symlinks anew for each name.
func described(t testing.TB, dir string) []string {
	t.Helper()
	lines, err := imagetest.Tree(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		if strings.HasPrefix(line, `"link"`) || strings.HasPrefix(line, `"second link"`) {
			line = strings.Replace(line, "links 2", "links 1", 1)
			if strings.HasPrefix(line, `"second`) {
				line = strings.Replace(line, `1 "link"`, `1 "second link"`, 1)
			}
			lines[i] = line
		}
	}
	return lines
}

// TestCPIO reads what GNU cpio and each compressor make of a tree.
func TestCPIO(t *testing.T) {
	dir := artifacttest.Tree(t)
	want := described(t, dir)
	for _, format := range []string{"newc", "crc"} {
		raw, err := os.ReadFile(artifacttest.CPIO(t, dir, format))
		if err != nil {
			t.Fatal(err)
		}
		for name, tool := range tools {
			if format == "crc" && name != "none" && name != "gzip" {
				continue // no other way through the reader
			}
			t.Run(format+" "+name, func(t *testing.T) {
				r := open(t, filter(t, raw, tool...))
				if diff := cmp.Diff(want, artifacttest.Describe(t, r, false)); diff != "" {
					t.Errorf("(-tree +archive)\n%s", diff)
				}
				if err := r.Verify(); err != nil {
					t.Error(err)
				}
				info := r.Info()
				if len(info.Segments) != 1 || len(info.Notes) > 0 {
					t.Fatalf("%+v", info)
				}
				s := info.Segments[0]
				if s.Compressor != name || s.Trailers != 1 || s.Entries != len(want) || s.Unpacked != int64(len(raw)) && name != "none" {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// TestBsdtar reads what libarchive makes.
func TestBsdtar(t *testing.T) {
	dir := artifacttest.Tree(t)
	want := described(t, dir)
	data := filter(t, nil, "bsdtar", "-C", dir, "--format=newc", "-cf", "-", ".")
	if diff := cmp.Diff(want, artifacttest.Describe(t, open(t, data), false)); diff != "" {
		t.Errorf("(-tree +archive)\n%s", diff)
	}
}

// TestSegments has segments of all compressors after each other, with any number of zeros between them.
func TestSegments(t *testing.T) {
	names := []string{
		"none", "gzip", "bzip2", "lzma", "xz", "zstd", "none", "xz", "lzma", "bzip2", "gzip", "none", "lz4",
	}
	for _, zeros := range []int{0, 1, 2, 3, 4, 512} {
		var data []byte
		for i, name := range names {
			raw := pack(t, file(fmt.Sprintf("file %d", i), string(artifacttest.Noise(i, 5000))+strings.Repeat("text", 10_000)))
			if name == "none" {
				data = append(data, make([]byte, -len(data)&3)...)
			}
			data = append(data, filter(t, raw, tools[name]...)...)
			data = append(data, make([]byte, zeros)...)
		}
		r := open(t, data)
		var got []string
		for i, s := range r.Info().Segments {
			got = append(got, s.Compressor)
			if s.Entries != 1 || s.Trailers != 1 {
				t.Errorf("%d zeros, segment %d: %+v", zeros, i, s)
			}
		}
		if diff := cmp.Diff(names, got); diff != "" {
			t.Errorf("%d zeros: (-want +got)\n%s", zeros, diff)
		}
		if err := r.Verify(); err != nil {
			t.Errorf("%d zeros: %v", zeros, err)
		}
		if lines := artifacttest.Describe(t, r, false); len(lines) != 1+len(names) {
			t.Errorf("%d zeros: %q", zeros, lines)
		}
	}
}

// TestXzInXz has .xz files that do not compress in an .xz segment, where their ends stand as they are.
func TestXzInXz(t *testing.T) {
	inner := filter(t, artifacttest.Noise(1, 10_000), "xz", "--check=crc32")
	var files []entry
	for i := range 20 {
		files = append(files, file(fmt.Sprint(i), string(inner)+strings.Repeat("-", i)))
	}
	data := filter(t, pack(t, files...), "xz", "--check=crc32", "--block-size=30000")
	data = append(data, filter(t, pack(t, file("x", "x")), "xz", "--check=crc64", "--x86", "--lzma2")...)
	r := open(t, data)
	if n := len(r.Info().Segments); n != 2 {
		t.Errorf("%d segments", n)
	}
	want := []string{"segment 1: its xz checksum is not CRC32, the only one that the kernel reads"}
	if diff := cmp.Diff(want, r.Info().Notes); diff != "" {
		t.Error(diff)
	}
}
