package layercases

import (
	"crypto/sha256"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// largeCase is a layer whose tree is too large for a golden file of lines: its has their number and SHA-256. A file of more
// than 4 GiB is in TestCorpusHuge of e2e/fidelity.
type largeCase struct {
	name, why string
	layers    []layers.Layer
	limit     map[string]string // kinds of images that cannot hold it: text of the error
	kinds     []string          // of images; nil is all
}

var largeCases = []largeCase{
	{"100,000 entries in a folder", "indexed folders, and more subfolders than the 65,000 links that ext4 counts", []layers.Layer{crowd}, nil, nil},
	{"1,000,000 inodes", "tables of inodes of many blocks, in two layers", []layers.Layer{million(0, 600), million(500, 1000)}, nil,
		[]string{"squashfs", "initramfs"}}, // a minute each
	// -update needs TMPDIR on another file system than ext4 for it.
	{"66,000 names of one file", "more than 16 bits, and more than the 65,000 that ext4 has", []layers.Layer{names(0, 33000), names(33000, 66000)},
		map[string]string{"ext4": "65000"}, nil},
}

// adder adds entries until one fails.
type adder struct {
	w   *layers.Writer
	err error
}

func (a *adder) add(e entry) {
	if a.err == nil {
		a.err = e.write(a.w)
	}
}

func crowd(w *layers.Writer) error {
	a := adder{w: w}
	a.add(root)
	a.add(dir("crowd"))
	for i := range 100_000 {
		name := fmt.Sprintf("crowd/%d", i*7919%100_000)
		switch i % 10 {
		case 0:
			a.add(soft(name, fmt.Sprint(i)))
		case 1:
			a.add(file(name, fmt.Sprint("content ", i%100)).owned(0o600, i, i, int64(i)))
		case 2:
			a.add(fifo(name).at(int64(i), 0))
		default:
			a.add(dir(name).at(int64(i), 0))
		}
	}
	a.add(dir("crowd"))
	return a.err
}

// million is a layer of the folders from to below to, of a thousand small files each.
func million(from, to int) layers.Layer {
	return func(w *layers.Writer) error {
		a := adder{w: w}
		a.add(root)
		for i := from; i < to; i++ {
			a.add(dir(fmt.Sprint("d", i)))
			for j := range 1000 {
				e := file(fmt.Sprintf("d%d/%d", i, j), "")
				if j%100 == 0 {
					e.data = fmt.Sprint("file ", i, " ", j)
				}
				a.add(e.owned(0o644, i, from, int64(j)))
			}
		}
		return a.err
	}
}

func names(from, to int) layers.Layer {
	return func(w *layers.Writer) error {
		a := adder{w: w}
		a.add(root)
		for i := from; i < to; i++ {
			if i == 0 {
				a.add(file("0", "has many names"))
				continue
			}
			a.add(hard(fmt.Sprint(i), "0"))
		}
		return a.err
	}
}

// Every large layer comes out as umoci unpacks it.
func TestLarge(t *testing.T) {
	harness.NeedSlow(t, "packs, links and walks a million files")
	imagetest.NeedRoot(t, "bsdtar")
	for _, c := range largeCases {
		t.Run(c.name, func(t *testing.T) {
			layout := t.TempDir() + "/layout"
			if err := layers.WriteLayout(layout, layers.Gzip, v1.ImageConfig{}, c.layers...); err != nil {
				t.Fatal(err)
			}
			if *update {
				rootfs, err := imagetest.UnpackImage(t, layout+":"+layers.Tag)
				if err != nil {
					t.Fatal(err)
				}
				writeGolden(t, c.name, digests(tree(t, rootfs)))
			}
			want := readGolden(t, c.name)
			for _, v := range []view{squashfs, erofs, ext4, initramfs} {
				if c.kinds != nil && !slices.Contains(c.kinds, v.settings.Kind) {
					continue
				}
				t.Run(v.settings.Kind, func(t *testing.T) { c.test(t, v.settings, layout, want) })
			}
		})
	}
}

func (c largeCase) test(t *testing.T, s harness.Settings, layout string, want []string) {
	start := time.Now()
	image, r := harness.TryMakeImage(t, s, blobs(t, layout)...)
	if says := c.limit[s.Kind]; says != "" {
		if r.Code == 0 || !strings.Contains(r.Output, says) {
			t.Errorf("exit code %d, want an error with %q\n%s", r.Code, says, r.Output)
		}
		return
	}
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Output)
	}
	made := time.Since(start)
	if s.Kind == "initramfs" {
		imagetest.Compare(t, "what bsdtar lists", want[:1], digests(listed(t, image))[:1])
	} else {
		imagetest.Compare(t, "what the kernel mounts", want, digests(tree(t, imagetest.MountAs(t, s.Kind, "ro", image))))
	}
	t.Logf("made in %v, read in %v", made, time.Since(start)-made)
}

// tree are the lines of a folder, without xattrs, of which these cases have none.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	lines, err := imagetest.Tree(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// digests are the SHA-256 of the lines' paths and of the lines, sorted.
func digests(lines []string) []string {
	paths, all := sha256.New(), sha256.New()
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintf(paths, "%q\n", pathOf(line))
		fmt.Fprintln(all, line)
	}
	return []string{fmt.Sprintf("%d paths %x", len(lines), paths.Sum(nil)), fmt.Sprintf("all of them %x", all.Sum(nil))}
}

// listed are the quoted paths of an initramfs but for those that every one has.
func listed(t *testing.T, image string) (paths []string) {
	t.Helper()
	out, err := exec.Command("bsdtar", "-tf", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path := strings.TrimRight(line, "/\n")
		if !slices.Contains(baseFolders, path) {
			paths = append(paths, quoted(path))
		}
	}
	return paths
}
