package layercases

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/imagetest"
)

var update = flag.Bool("update", false, "write the golden files anew, with umoci")

func TestMain(m *testing.M) { harness.Main(m) }

// Every case comes out as its golden file says.
func TestCases(t *testing.T) {
	imagetest.NeedRoot(t)
	seen := map[string]bool{}
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			if c.why == "" || seen[golden(c.name)] {
				t.Fatal("the case needs a reason, and a name that no other has")
			}
			seen[golden(c.name)] = true
			layout := writeLayout(t, c.stored, c.layers)
			want := c.golden(t)
			t.Run("umoci", func(t *testing.T) { c.testUmoci(t, want) })
			if len(c.layers) == 1 {
				for _, program := range []string{"tar", "bsdtar"} {
					t.Run(program, func(t *testing.T) { c.testPeer(t, program, want) })
				}
			}
			for _, v := range fileSystems {
				t.Run(v.settings.String(), func(t *testing.T) { c.testImage(t, v, layout, want) })
			}
			t.Run("initramfs", func(t *testing.T) { c.testInitramfs(t, layout, want) })
		})
	}
}

// writeLayout writes the layers as an image and gives its folder.
func writeLayout(t *testing.T, compression layers.Compression, s stack) string {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "layout")
	if compression == "" {
		compression = layers.Gzip
	}
	if err := layers.WriteLayout(layout, compression, v1.ImageConfig{}, s.layers()...); err != nil {
		t.Fatal(err)
	}
	return layout
}

func blobs(t *testing.T, layout string) []string {
	t.Helper()
	list, err := layers.Blobs(layout)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// golden are the lines of the case's golden file, which -update writes first.
func (c layerCase) golden(t *testing.T) []string {
	t.Helper()
	if *update {
		of := c.means
		if of == nil {
			of = c.layers
		}
		lines, err := c.unpacked(t, of)
		if err != nil {
			t.Fatal(err)
		}
		writeGolden(t, c.name, c.promised.apply(lines))
	}
	return readGolden(t, c.name)
}

// unpacked is what umoci makes of layers.
func (c layerCase) unpacked(t *testing.T, s stack) ([]string, error) {
	t.Helper()
	stored := c.stored
	if stored == layers.Zstd || stored == layers.ZstdFrames {
		stored = layers.Gzip // Debian 12's umoci knows no zstd
	}
	root, err := imagetest.UnpackImage(t, writeLayout(t, stored, s)+":"+layers.Tag)
	if err != nil {
		return nil, err
	}
	return imagetest.Describe(t, root), nil
}

func writeGolden(t *testing.T, name string, lines []string) {
	t.Helper()
	slices.Sort(lines)
	if err := os.WriteFile(golden(name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readGolden(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(golden(name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v; -update writes it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// testUmoci compares with what umoci makes now. Where it is known to make another tree, it must still do so.
func (c layerCase) testUmoci(t *testing.T, want []string) {
	imagetest.Need(t, "umoci")
	if c.umoci != "" {
		got, err := c.unpacked(t, c.layers)
		if slices.Sort(got); err == nil && slices.Equal(want, got) {
			t.Errorf("umoci unpacks it now; so the case needs no reason why not: %q", c.umoci)
		}
		if err != nil {
			t.Log(err)
		}
		if c.means == nil {
			return
		}
	}
	of := c.layers
	if c.means != nil {
		of = c.means
	}
	got, err := c.unpacked(t, of)
	if err != nil {
		t.Fatal(err)
	}
	imagetest.Compare(t, "what umoci unpacks", want, c.promised.apply(got))
}

// testPeer compares with what a tar program extracts of the one layer, but for folders that it had to make up.
func (c layerCase) testPeer(t *testing.T, program string, want []string) {
	imagetest.Need(t, program)
	blob := blobs(t, writeLayout(t, layers.None, c.layers))[0]
	dir := t.TempDir()
	args := []string{"--numeric-owner", "--xattrs", "-C", dir, "-xpf", blob}
	if program == "tar" {
		args = append(args, "--xattrs-include=*")
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	known := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			path := pathOf(line)
			return c.promised[path] == impliedDir || path == "." // bsdtar leaves its time
		})
	}
	got := known(imagetest.Describe(t, dir))
	slices.Sort(got)
	reason := c.peers[program]
	same := err == nil && slices.Equal(known(want), got)
	switch {
	case reason != "" && same:
		t.Errorf("%s extracts it now; so the case needs no reason why not: %q", program, reason)
	case reason != "":
		t.Logf("%s makes another tree, as it should: %s", program, reason)
	case err != nil:
		t.Errorf("%s: %v\n%s", program, err, out)
	default:
		imagetest.Compare(t, "what "+program+" extracts", known(want), got)
	}
}

// testImage compares with what the kernel has of an image, and with what unsquashfs extracts.
func (c layerCase) testImage(t *testing.T, v view, layout string, want []string) {
	image, r := harness.TryMakeImage(t, v.settings, blobs(t, layout)...)
	if says := c.limit[v.settings.Kind]; says != "" {
		if r.Code == 0 || !strings.Contains(r.Output, says) {
			t.Errorf("exit code %d, want an error with %q\n%s", r.Code, says, r.Output)
		}
		return
	}
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Output)
	}
	mounted := imagetest.MountAs(t, v.settings.Kind, "ro", image)
	imagetest.Compare(t, "what the kernel mounts", v.of(want), imagetest.Describe(t, mounted))
	if v.settings.Kind == "squashfs" && c.peers["unsquashfs"] == "" {
		imagetest.Need(t, "unsquashfs")
		dir := filepath.Join(t.TempDir(), "extracted")
		imagetest.Run(t, "unsquashfs", "-quiet", "-no-progress", "-dest", dir, image)
		imagetest.Compare(t, "what unsquashfs extracts", v.of(want), imagetest.Describe(t, dir))
	}
}

// baseFolders is what every initramfs has below its layers.
var baseFolders = strings.Fields("bin dev dev/console dev/null etc proc run sbin sys tmp usr usr/bin usr/lib usr/sbin var var/log")

// testInitramfs compares with what bsdtar extracts of an initramfs.
func (c layerCase) testInitramfs(t *testing.T, layout string, want []string) {
	imagetest.Need(t, "bsdtar")
	image, r := harness.TryMakeImage(t, archive.settings, blobs(t, layout)...)
	if says := c.limit["initramfs"]; says != "" {
		if r.Code == 0 || !strings.Contains(r.Output, says) {
			t.Errorf("exit code %d, want an error with %q\n%s", r.Code, says, r.Output)
		}
		return
	}
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Output)
	}
	dir := t.TempDir()
	imagetest.Run(t, "bsdtar", "--numeric-owner", "-C", dir, "-xpf", image)
	notRoot := func(lines []string) []string { // whose time bsdtar leaves
		return slices.DeleteFunc(lines, func(line string) bool { return pathOf(line) == "." })
	}
	imagetest.Compare(t, "what bsdtar extracts", notRoot(archive.of(want)), notRoot(withoutBase(want, imagetest.Describe(t, dir))))
}

// withoutBase takes the base folders of an initramfs away that are none of the case's own.
func withoutBase(want, got []string) []string {
	own := map[string]bool{}
	for _, line := range want {
		own[pathOf(line)] = true
	}
	return slices.DeleteFunc(got, func(line string) bool {
		path := pathOf(line)
		return !own[path] && slices.Contains(baseFolders, path)
	})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
