package badinput

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Layers that are well-formed, each alone, but do not make a tree.
func TestLayersThatDoNotFit(t *testing.T) {
	run(t, []badInput{
		{"a hard link to nothing", linkLayers(layer(link(tar.TypeLink, "a", "no/such"))), []string{`"a"`, `"no/such"`, "layer0.pack"}},
		{"a hard link to a hidden file", linkLayers(
			layer(dir("d"), file("d/f")), layer(file("d/.wh.f"), link(tar.TypeLink, "a", "d/f")),
		), []string{`"a"`, `"d/f"`, "layer1.pack"}},
		{"a hard link to a folder", linkLayers(layer(dir("d"), link(tar.TypeLink, "a", "d"))), []string{`"a"`, `"d"`}},
		{"a hard link to itself", linkLayers(layer(link(tar.TypeLink, "a", "a"))), []string{`"a"`}},
		{"a file below a file", linkLayers(layer(file("f"), file("f/g"))), []string{`"f/g"`, `"f"`, "layer0.pack"}},
		{"a file below a lower layer's file", linkLayers(layer(file("f")), layer(file("f/g/h"))), []string{`"f/g/h"`, `"f"`, "layer1.pack"}},
		{"a file below a device", linkLayers(
			layer(tar.Header{Name: "n", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, file("n/f")),
		), []string{`"n/f"`}},
		{"symlinks in a circle", linkLayers(
			layer(link(tar.TypeSymlink, "a", "b"), link(tar.TypeSymlink, "b", "a"), file("a/f")),
		), []string{`"a/f"`}},
		{"too large a device number", linkLayers(
			layer(tar.Header{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 4096, Devminor: 1}),
		), []string{"dev", "4096"}},
		{"an empty layer alone", linkLayers(layer()), []string{"empty"}},
		{"whiteouts alone", linkLayers(layer(file(".wh.a"))), []string{"empty"}},
		{"all is hidden", linkLayers(layer(file("a")), layer(file(".wh..wh..opq"))), []string{"empty"}},
		{"a program that must be there is not", func(t *testing.T, dir, out string) []string {
			return append(linkLayers(layer(file("a")))(t, dir, out), "--require", "/bin/agent")
		}, []string{"/bin/agent"}},
	})
}

// Packs that are damaged, or not packs, or of other settings.
func TestDamagedPack(t *testing.T) {
	broken := func(change func([]byte) []byte, flags ...string) job {
		return func(t *testing.T, dir, out string) []string {
			args := linkLayers(large())(t, dir, out)
			pack := filepath.Join(dir, "layer0.pack")
			data, err := os.ReadFile(pack)
			if err != nil {
				t.Fatal(err)
			}
			write(t, pack, change(data))
			return append(args, flags...)
		}
	}
	same := func(data []byte) []byte { return data }
	tests := []badInput{
		{"empty", broken(func([]byte) []byte { return nil }), []string{"layer0.pack"}},
		{"text", broken(func([]byte) []byte { return bytes.Repeat([]byte("text\n"), 1000) }), []string{"layer0.pack"}},
		{"other block size", broken(same, "--block-size", "65536"), []string{"layer0.pack", "65536", "131072"}},
		{"other compressor", broken(same, "--compression", "gzip"), []string{"layer0.pack", "gzip", "zstd"}},
		{"a folder without packs", func(t *testing.T, dir, out string) []string {
			return []string{"rootfs", "--pack", dir, "--out", out + "/a.img", "--digest-out", out + "/a.sha256"}
		}, []string{"pack"}},
	}
	for _, share := range []int{1, 20, 50, 90, 99} {
		at := func(data []byte) int { return len(data) * share / 100 }
		tests = append(tests, badInput{
			fmt.Sprintf("cut off at %d %%", share),
			broken(func(data []byte) []byte { return data[:at(data)] }), []string{"layer0.pack"},
		})
	}
	for _, share := range []int{2, 30, 80} {
		tests = append(tests, badInput{
			fmt.Sprintf("a flipped bit at %d %%", share),
			broken(func(data []byte) []byte { return flip(data, len(data)*share/100) }), []string{"layer0.pack"},
		})
	}
	for _, back := range []int{1, 20, 40, 70, 120} {
		tests = append(tests, badInput{
			fmt.Sprintf("a flipped bit %d bytes before the end", back),
			broken(func(data []byte) []byte { return flip(data, len(data)-back) }), []string{"layer0.pack"},
		})
	}
	run(t, tests)
}

// A tree as deep as a path may be is fine; one that is deeper fails without taking the memory of its square.
func TestDeepTree(t *testing.T) {
	deep := strings.Repeat("d/", 200000) + "f"
	run(t, []badInput{{"200,000 levels", packData(is(layer(file(deep)))), []string{"layer.blob"}}})
}
