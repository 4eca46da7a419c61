package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/cpio"
)

// writeArchive makes an initramfs with a file of a content.
func writeArchive(t *testing.T, name, content string) {
	t.Helper()
	err := cli.WriteFile(name, func(f *os.File) error {
		w := cpio.NewWriter(f)
		if err := w.WriteHeader(&cpio.Header{Name: "f", Mode: cpio.TypeRegular | 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := w.Write([]byte(content)); err != nil {
			return err
		}
		return w.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// writeManifest makes a manifest that names an initramfs with a digest.
func writeManifest(t *testing.T, name, url, digest string) {
	t.Helper()
	manifest := fmt.Sprintf(`{"schema_version": "v1", "initramfs": {"url": "%s", "format": "cpio", "checksum": %q}}`, url, digest)
	if err := os.WriteFile(name, []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
}

func digestOf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data))
}

func TestDiffExitCodes(t *testing.T) {
	dir := t.TempDir()
	a, b, none := filepath.Join(dir, "a.cpio"), filepath.Join(dir, "b.cpio"), filepath.Join(dir, "none.cpio")
	writeArchive(t, a, "text")
	writeArchive(t, b, "TEXT")
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{a, a}, cli.ExitOK},
		{[]string{a, b}, exitDiffer},
		{[]string{a, b, "--format", "json"}, exitDiffer},
		{[]string{a, b, "--ignore", "mtime,content"}, cli.ExitOK},
		{[]string{a, none}, cli.ExitError},
		{[]string{a}, cli.ExitUsage},
		{[]string{a, b, "--ignore", "contents"}, cli.ExitUsage},
		{[]string{a, b, "--format", "xml"}, cli.ExitUsage},
	} {
		if _, _, err := fledge(t, append([]string{"diff"}, c.args...)...); cli.ExitCode(err) != c.code {
			t.Errorf("%q: error %v, want exit code %d", c.args, err, c.code)
		}
	}
}

// TestInspectManifest has the manifest shown and checked that lies beside an image.
func TestInspectManifest(t *testing.T) {
	dir := t.TempDir()
	image, manifest := filepath.Join(dir, "tool.cpio"), filepath.Join(dir, "tool.manifest.json")
	writeArchive(t, image, "text")
	for _, c := range []struct{ url, digest, shows, fails string }{
		{"tool.cpio", digestOf(t, image), "which has this image's digest", ""},
		{"other.cpio", "sha256:00", "which does not name this image", ""},
		{"tool.cpio", "sha256:00", "WHICH HAS ANOTHER DIGEST", "one of the two is of another build"},
	} {
		writeManifest(t, manifest, c.url, c.digest)
		out, _, err := fledge(t, "inspect", image)
		if err != nil || !strings.Contains(out, c.shows) {
			t.Errorf("error %v, no %q in\n%s", err, c.shows, out)
		}
		_, _, err = fledge(t, "inspect", "--verify", image)
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%+v: --verify: %v", c, err)
		}
	}
	writeManifest(t, manifest, "tool.cpio", digestOf(t, image))
	if out, _, err := fledge(t, "inspect", manifest, "--format", "tree"); err != nil || strings.Count(out, "\n") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	writeManifest(t, manifest, "tool.cpio\u009b1m", digestOf(t, image))
	if out, _, err := fledge(t, "inspect", image); err != nil || !strings.Contains(out, `"url": "tool.cpio\u009b1m"`) {
		t.Errorf("%v\n%q", err, out)
	}
	if err := os.WriteFile(manifest, []byte("{"+strings.Repeat(" ", 1<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := fledge(t, "inspect", image); err == nil || !strings.Contains(err.Error(), "tool.manifest.json: more than 1048576 bytes") {
		t.Errorf("a large manifest: %v", err)
	}
	writeManifest(t, manifest, "tool.manifest.json", "sha256:00")
	if _, _, err := fledge(t, "inspect", manifest); err == nil || !strings.Contains(err.Error(), "this is nothing known: ") {
		t.Errorf("a manifest that names itself: %v", err)
	}
}

// TestInspectRecognises has files that are no image that fledge reads.
func TestInspectRecognises(t *testing.T) {
	at := func(offset int, magic string) string {
		return strings.Repeat("\x00", offset) + magic + strings.Repeat("\x00", 4096)
	}
	for want, content := range map[string]string{
		"erofs: the superblock is damaged: blocks of 2^0 bytes":                                                    at(0x400, "\xe2\xe1\xf5\xe0"),
		"xfs: the superblock is damaged: blocks of 2^0 bytes":                                                      at(0, "XFSB"),
		"this is an F2FS file system; fledge reads images of squashfs, erofs, ext4, xfs, btrfs, and cpio archives": at(0x400, "\x10\x20\xf5\xf2"),
		"this is an ELF program":                                 at(0, "\x7fELF"),
		"this is an empty file":                                  "",
		"this is nothing known: it begins with 6e6f7468696e6720": "nothing known",
		"data compressed with gzip, read as an initramfs":        at(0, "\x1f\x8b"),
		"names neither a rootfs nor an initramfs":                "{}",
		"squashfs: superblock: version":                          at(0, "hsqs"),
	} {
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := fledge(t, "inspect", name)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, _, err := fledge(t, "inspect", t.TempDir()); err == nil || !strings.Contains(err.Error(), "a folder, not an image") {
		t.Error(err)
	}
}

// TestInspectCompressed reads an initramfs whose compressed bytes are like those of other formats.
func TestInspectCompressed(t *testing.T) {
	dir := t.TempDir()
	plain, name := filepath.Join(dir, "a.cpio"), filepath.Join(dir, "a.cpio.gz")
	content := make([]byte, 70<<10)
	for at, magic := range map[int]string{510: "\x55\xaa", 0x438: "\x53\xef", 257: "ustar", 0x400: "\xe2\xe1\xf5\xe0"} {
		const before = 10 + 5 + 112 // gzip's header, that of a stored block, and the record's
		copy(content[at-before:], magic)
	}
	writeArchive(t, plain, string(content))
	archive, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if string(b.Bytes()[0x438:0x43a]) != "\x53\xef" {
		t.Fatal("the bytes are not where they should be")
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _, err := fledge(t, "inspect", name); err != nil || !strings.Contains(out, "contents    1 file, ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInspectVerify has the first damaged place named.
func TestInspectVerify(t *testing.T) {
	image := filepath.Join(t.TempDir(), "tool.cpio")
	writeArchive(t, image, "text")
	out, _, err := fledge(t, "inspect", "--verify", image)
	if err != nil || !strings.Contains(out, "verified    everything was read") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.Truncate(image, 114); err != nil {
		t.Fatal(err)
	}
	_, _, err = fledge(t, "inspect", "--verify", image)
	if err == nil || !strings.Contains(err.Error(), `record at byte 0: "f": unexpected EOF`) || cli.ExitCode(err) != cli.ExitError {
		t.Error(err)
	}
}
