package filled

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/fill"
	"github.com/fledge-build/fledge/internal/fill/filltest"
	"github.com/fledge-build/fledge/internal/imagetest"
)

func file(name string, kind byte, mode int64, data string, xattrs ...string) imagetest.File {
	h := tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(1700000001, 0), Format: tar.FormatPAX}
	h.PAXRecords = map[string]string{}
	for i := 0; i < len(xattrs); i += 2 {
		h.PAXRecords["SCHILY.xattr."+xattrs[i]] = xattrs[i+1]
	}
	return imagetest.File{Header: h, Data: data}
}

// An ACL as programs see it: version 2, and entries of tag, permissions and id.
const (
	aclHead   = "\x02\x00\x00\x00"
	aclOwner  = "\x01\x00\x06\x00\xff\xff\xff\xff"
	aclUser   = "\x02\x00\x07\x00\xe8\x03\x00\x00" // user 1000
	aclGroup  = "\x04\x00\x04\x00\xff\xff\xff\xff"
	aclMask   = "\x10\x00\x07\x00\xff\xff\xff\xff"
	aclOthers = "\x20\x00\x04\x00\xff\xff\xff\xff"
	acl       = aclHead + aclOwner + aclUser + aclGroup + aclMask + aclOthers
)

// more is a layer with what the corpus of all file systems does not have, and an agent.
func more(t *testing.T, agent []byte) []byte {
	var files []imagetest.File
	deep := ""
	for range 30 {
		deep += "directory/"
		files = append(files, file(deep, tar.TypeDir, 0o711, ""))
	}
	files = append(files,
		file("acl/", tar.TypeDir, 0o674, "", "system.posix_acl_access", acl, "system.posix_acl_default", acl),
		file("acl/file", tar.TypeReg, 0o674, "acl", "system.posix_acl_access", acl, "user.other", "1"),
		file("acl/caps", tar.TypeReg, 0o6755, "caps", "security.capability", imagetest.FileCaps, "user.\xff\xfe", "name"),
		file(deep+"file", tar.TypeReg, 0o444, "deep"),
		file("bin/kestrel", tar.TypeReg, 0o755, string(agent)),
		// What xfs cannot hold: a device with large numbers, a symlink with a long target.
		file("dev/.wh.far", tar.TypeReg, 0, ""), file("etc/.wh.far", tar.TypeReg, 0, ""),
	)
	return imagetest.Tar(t, files...)
}

// The image holds exactly what umoci unpacks, for the host's kernel and for a guest, which boots from it and writes to it.
func TestFidelity(t *testing.T) {
	k := newKit(t)
	imagetest.NeedRoot(t, "umoci")
	layers := append(imagetest.Everything(t, 128<<10), more(t, k.program(t, "./e2e/filled/guest")))
	source := filltest.Source(t, layers...)
	want := imagetest.Unpacked(t, layers)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			image, stats := k.fill(t, k.options(t, kind, source))
			if stats.Entries != int64(len(want)-1) || stats.Dropped.Count != 0 {
				t.Errorf("%d names, but stats %+v", len(want), stats)
			}
			t.Run("host", func(t *testing.T) {
				got := imagetest.Describe(t, imagetest.MountAs(t, kind, "ro", image))
				imagetest.Compare(t, "the mounted image", want, withoutAliases(got))
			})
			t.Run("guest", func(t *testing.T) {
				imagetest.Compare(t, "the image in the guest", want, withoutAliases(k.boot(t, kind, image)))
				check(t, kind, image)
			})
		})
	}
}

var alias = regexp.MustCompile(` trusted\.SGI_ACL_(FILE|DEFAULT)=[0-9a-f]+`)

// withoutAliases takes out the second names that xfs gives POSIX ACLs.
func withoutAliases(lines []string) (cut []string) {
	for _, line := range lines {
		cut = append(cut, alias.ReplaceAllString(line, ""))
	}
	return cut
}

// holes is a file with many of them.
func holes(pieces int) string {
	var b strings.Builder
	for i := range pieces {
		b.WriteString(imagetest.Noise(i+1, 128<<10))
		b.WriteString(strings.Repeat("\x00", 256<<10))
	}
	return b.String()
}

// Two fills give the same xfs, and a btrfs with the same UUIDs and times.
func TestTwice(t *testing.T) {
	k := newKit(t)
	files := []imagetest.File{file("holes", tar.TypeReg, 0o644, holes(60))}
	for i := range 300 {
		files = append(files, file(fmt.Sprintf("directory/%d", i), tar.TypeReg, 0o644, imagetest.Text(i, i*41)))
	}
	source := filltest.Source(t, imagetest.Tar(t, files...))
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := k.options(t, kind, source)
			var images [2]string
			for i := range images {
				o.Machine.MemoryMB = 300 + 600*i // no part of the result
				images[i], _ = k.fill(t, o)
			}
			if kind == fill.XFS {
				same(t, images[0], images[1])
				return
			}
			if diff := cmp.Diff(identity(t, images[0]), identity(t, images[1])); diff != "" {
				t.Errorf("UUIDs and times differ (-first +second):\n%s", diff)
			}
		})
	}
}

func same(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < max(len(x), len(y)); at += 4096 {
		if !bytes.Equal(x[min(at, len(x)):min(at+4096, len(x))], y[min(at, len(y)):min(at+4096, len(y))]) {
			t.Fatalf("%d and %d bytes, the first block that differs is at %#x", len(x), len(y), at)
		}
	}
}

var uuidOrTime = regexp.MustCompile(`uuid|time \d`)

// identity is what a btrfs has of UUIDs and times, in superblock and trees.
func identity(t *testing.T, image string) (lines []string) {
	t.Helper()
	out := output(t, "btrfs", "inspect-internal", "dump-super", image) + output(t, "btrfs", "inspect-internal", "dump-tree", image)
	for line := range strings.Lines(out) {
		if uuidOrTime.MatchString(line) && !strings.Contains(line, "generation") && !strings.Contains(line, "owner UUID_TREE") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// Many small files take more than their content: the size that is chosen for the image has room for them and the buffer.
func TestManyFiles(t *testing.T) {
	k := newKit(t)
	var files []imagetest.File
	for i := range 4000 {
		files = append(files, file(fmt.Sprintf("directory/file-with-a-longer-name-%d", i), tar.TypeReg, 0o644, strings.Repeat("x", i%9*200)))
	}
	files = append(files, file("large", tar.TypeReg, 0o644, imagetest.Noise(1, 200<<20)))
	source := filltest.Source(t, imagetest.Tar(t, files...))
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := k.options(t, kind, source)
			o.SizeBuffer = 100
			_, stats := k.fill(t, o)
			if most := 100<<20 + stats.Size/4; stats.Free > most {
				t.Errorf("%d bytes are free, want 100 MiB and at most %d", stats.Free, most)
			}
		})
	}
}

// What a file system cannot hold is told, with the file, and no image appears.
func TestImpossible(t *testing.T) {
	k := newKit(t)
	device := file("dev/far", tar.TypeChar, 0o600, "")
	device.Devmajor = 512
	link := file("etc/far", tar.TypeSymlink, 0o777, "")
	link.Linkname = strings.Repeat("x", 1024)
	for want, f := range map[string]imagetest.File{
		`"/dev/far": the file system cannot hold the device 512:0`:                    device,
		`"/etc/far": the file system cannot hold a symlink with a target of 1024 byt`: link,
	} {
		o := k.options(t, fill.XFS, filltest.Source(t, imagetest.Tar(t, f)))
		o.TempDir = t.TempDir()
		_, err := fill.Fill(context.Background(), io.Discard, o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
		if left, _ := filepath.Glob(filepath.Join(o.TempDir, ".*")); len(left) > 2 {
			t.Errorf("left over: %q", left)
		}
	}
}
