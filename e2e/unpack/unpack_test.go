// Package unpack has the kernel unpack initramfs images of odd layers, and compares what it makes of them with what
// umoci makes of the layers.
package unpack

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

func TestMain(m *testing.M) { harness.Main(m) }

func header(name string, kind byte, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: kind, Mode: mode, ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX}
}

func dir(name string, mode int64) imagetest.File {
	return imagetest.File{Header: header(name, tar.TypeDir, mode)}
}

func file(name string, mode int64, data string) imagetest.File {
	return imagetest.File{Header: header(name, tar.TypeReg, mode), Data: data}
}

func link(name string, kind byte, target string) imagetest.File {
	h := header(name, kind, 0o777)
	h.Linkname = target
	return imagetest.File{Header: h}
}

func device(name string, kind byte, mode, major, minor int64) imagetest.File {
	h := header(name, kind, mode)
	h.Devmajor, h.Devminor = major, minor
	return imagetest.File{Header: h}
}

func owned(f imagetest.File, uid, gid int, seconds int64) imagetest.File {
	f.Uid, f.Gid, f.ModTime = uid, gid, time.Unix(seconds, 0)
	return f
}

func withXattr(f imagetest.File, name, value string) imagetest.File {
	f.PAXRecords = map[string]string{"SCHILY.xattr." + name: value}
	return f
}

// noise does not compress, so that it fills segments.
func noise(size int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// fileCaps is cap_net_bind_service+ep as the kernel stores it.
const fileCaps = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func baseLayer() []imagetest.File {
	long := strings.Repeat("n", 255)
	return []imagetest.File{
		dir("./", 0o755), dir("bin/", 0o755), dir("dev/", 0o755), dir("etc/", 0o750), dir("tmp/", 0o1777), dir("var/", 0o2775),
		dir("old/", 0o755), dir("opaque/", 0o755), dir("turns/", 0o755), dir("usr/", 0o755), dir("usr/lib/", 0o711),
		file("bin/suid", 0o4755, "suid"), file("bin/secret", 0, "nobody may read this"), file("bin/empty", 0o644, ""),
		withXattr(file("bin/caps", 0o755, "capable"), "security.capability", fileCaps),
		file("bin/large", 0o755, noise(5<<20)), file("bin/middle", 0o755, noise(600<<10)),
		file("bin/zeros", 0o644, strings.Repeat("\x00", 3<<20)),
		file("bin/larger", 0o644, strings.Repeat(noise(3<<20), 4)), // than all segments and windows
		link("bin/suid-too", tar.TypeLink, "bin/suid"), link("etc/suid-late", tar.TypeLink, "bin/suid"),
		link("etc/empty-too", tar.TypeLink, "bin/empty"), link("etc/large-too", tar.TypeLink, "bin/large"),
		owned(file("etc/high", 0o640, "high"), 4294967294, 4294967294, 1), owned(file("etc/last", 0o644, "2106"), 33, 34, 1<<32-1),
		owned(link("etc/owned", tar.TypeSymlink, "high"), 33, 34, 5), owned(dir("var/own/", 0o700), 33, 34, 6),
		file("etc/"+long, 0o644, "255 bytes of name"), file("etc/\xff\x80 \\", 0o644, "bytes"), file("etc/grüße", 0o644, "UTF-8"),
		link("etc/gone", tar.TypeSymlink, "/nothing/\xff"), link("run", tar.TypeSymlink, "/var"),
		link("lib", tar.TypeSymlink, "usr/lib"), // as in a merged /usr
		device("dev/sda", tar.TypeBlock, 0o660, 8, 300), device("dev/far", tar.TypeChar, 0o600, 4095, 1<<20-1),
		device("dev/pipe", tar.TypeFifo, 0o622, 0, 0), link("dev/pipe-too", tar.TypeLink, "dev/pipe"),

		// For the changes.
		file("old/gone", 0o644, "gone"), file("old/replaced", 0o644, "a longer text than its successor"), file("opaque/x", 0o644, "x"),
		file("turns/file-dir", 0o644, "f"), dir("turns/dir-file/", 0o755), file("turns/dir-file/in", 0o644, "in"),
		file("turns/file-link", 0o644, "f"), link("turns/link-file", tar.TypeSymlink, "file-dir"), dir("turns/dir-link/", 0o755),
		file("turns/dir-link/in", 0o644, "in"), file("old/linked", 0o644, "one inode"), link("old/linked-too", tar.TypeLink, "old/linked"),
		file("old/kept-link", 0o644, "kept"), link("old/lost-link", tar.TypeLink, "old/kept-link"),
	}
}

// changes replaces, hides and links what baseLayer has.
func changes() []imagetest.File {
	return []imagetest.File{
		file("old/.wh.gone", 0, ""), file("old/replaced", 0o600, "new"), file("opaque/.wh..wh..opq", 0, ""), file("opaque/y", 0o644, "y"),
		dir("turns/file-dir/", 0o700), file("turns/file-dir/in", 0o644, "in"), file("turns/dir-file", 0o644, "f"),
		link("turns/file-link", tar.TypeSymlink, "dir-file"), file("turns/link-file", 0o644, "f"),
		link("turns/dir-link", tar.TypeSymlink, "file-dir"),
		file("old/linked", 0o644, "another inode, the other name keeps the old one"), // the kernel would write through it
		link("bin/late", tar.TypeLink, "bin/middle"), file("old/.wh.lost-link", 0, ""), file("lib/added", 0o644, "lands in usr/lib"),
		dir("etc/", 0o755),
	}
}

// kit is what the boots need, built once.
type kit struct{ boot, guest, kernel string }

func newKit(t *testing.T) kit {
	t.Helper()
	harness.NeedSlow(t, "builds programs and boots machines")
	k := kit{kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE")}
	if k.kernel == "" {
		t.Skip("needs a kernel: set FLEDGE_KERNEL_BZIMAGE to it")
	}
	if _, err := qemu.Find(runtime.GOARCH, os.Getenv("FLEDGE_QEMU")); err != nil {
		t.Skip(err)
	}
	folder := t.TempDir()
	for pkg, program := range map[string]*string{"tools/boot": &k.boot, "e2e/unpack/guest": &k.guest} {
		*program = filepath.Join(folder, filepath.Base(pkg))
		if err := toolrun.Build(".", "./"+pkg, *program); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// unpacked boots an initramfs and gives the guest's description of it, by path.
func (k kit) unpacked(t *testing.T, initramfs string) map[string]string {
	t.Helper()
	r, err := toolrun.Run(k.boot, "--kernel", k.kernel, "--initramfs", initramfs, "--memory-mb", "512", "--verbose",
		"--cmdline", "quiet loglevel=3", "--timeout", "120", "--expect", "guest: done <nil>")
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Output)
	}
	return byPath(r.Output, "guest: ")
}

// byPath gives the lines that begin with prefix and a quoted path, by that path.
func byPath(text, prefix string) map[string]string {
	lines := map[string]string{}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), prefix+`"`)
		if path, _, quoted := strings.Cut(rest, `" `); ok && quoted {
			lines[path] = `"` + rest
		}
	}
	return lines
}

// TestKernel compares, for every compressor, what the kernel unpacks with what umoci unpacks.
func TestKernel(t *testing.T) {
	k := newKit(t)
	imagetest.NeedRoot(t, "umoci")
	in := t.TempDir()
	var layers []string
	for i, files := range [][]imagetest.File{baseLayer(), changes()} {
		path := filepath.Join(in, fmt.Sprint(i))
		if err := os.WriteFile(path, imagetest.Tar(t, files...), 0o644); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, path)
	}
	rootfs, err := imagetest.Unpack(t, layers...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := imagetest.Tree(rootfs, false)
	if err != nil {
		t.Fatal(err)
	}
	want := byPath(strings.Join(lines, "\n"), "")
	if len(want) < 45 {
		t.Fatalf("umoci unpacked only %d names", len(want))
	}
	for _, setting := range []string{"gzip", "zstd 3", "zstd 15", "xz", "lz4", "none"} { // zstd has two encoders
		t.Run(setting, func(t *testing.T) {
			compression, level, _ := strings.Cut(setting, " ")
			archive, said := k.link(t, compression, level, layers)
			if !strings.Contains(said, "/bin/caps loses its file capabilities") {
				t.Errorf("nothing about the lost capabilities in %q", said)
			}
			got := k.unpacked(t, archive)
			for path, line := range want {
				if got[path] != line {
					t.Errorf("umoci:  %s\nkernel: %s", line, got[path])
				}
			}
			for path := range got {
				if _, ok := want[path]; !ok && !slices.Contains(added, path) {
					t.Errorf("the kernel also has %s", got[path])
				}
			}
			checkListing(t, archive, compression, got)
		})
	}
}

// added is what an initramfs has besides its layers: the base directories and devices, /init, and the kernel's own /root.
var added = strings.Fields("init root sbin proc sys usr/bin usr/sbin var/log dev/console dev/null")

// link packs the layers and the guest's init, and links them; level may be empty. What a packer says comes back.
func (k kit) link(t *testing.T, compression, level string, layers []string) (archive, said string) {
	t.Helper()
	out := t.TempDir()
	comp := []string{"--compression", compression}
	if level != "" {
		comp = append(comp, "--level", level)
	}
	archive = filepath.Join(out, "test.cpio")
	args := append([]string{"initramfs", "--out", archive, "--require", "/init", "--arch", runtime.GOARCH}, comp...)
	for i, layer := range layers {
		pack := filepath.Join(out, fmt.Sprintf("%d.pack", i))
		harness.MustPacker(t, append([]string{"pack", "--for", "initramfs", "--layer", layer, "--out", pack}, comp...)...)
		args = append(args, "--pack", pack)
	}
	spec, pack := filepath.Join(out, "spec"), filepath.Join(out, "init.pack")
	if err := os.WriteFile(spec, fmt.Appendf(nil, `{"src": %q, "dest": "/init", "mode": "0755"}`, k.guest), 0o644); err != nil {
		t.Fatal(err)
	}
	harness.MustPacker(t, append([]string{"pack-files", "--for", "initramfs", "--spec", spec, "--out", pack}, comp...)...)
	r := harness.MustPacker(t, append(args, "--pack", pack)...)
	return archive, r.Output
}

// checkListing has cpio and bsdtar list the archive: each name once, and all of them.
func checkListing(t *testing.T, archive, compression string, unpacked map[string]string) {
	t.Helper()
	unpack := map[string]string{"gzip": "gzip -dc", "zstd": "zstd -dc", "xz": "xz -dc", "lz4": "lz4 -dc", "none": "cat"}[compression]
	for _, list := range []string{"cpio -t --quiet", "bsdtar -tf -"} {
		imagetest.Need(t, strings.Fields(unpack)[0], strings.Fields(list)[0])
		out := imagetest.Run(t, "sh", "-c", fmt.Sprintf("%s <%s | %s", unpack, archive, list))
		names := strings.Count(out, "\n")
		if want := len(unpacked) - 1; names != want { // the kernel's own /root is not in it
			t.Errorf("%s lists %d names, want %d", list, names, want)
		}
	}
}

// TestMixed links layers with different compressors, as the kernel allows.
func TestMixed(t *testing.T) {
	k := newKit(t)
	out := t.TempDir()
	layer := filepath.Join(out, "layer")
	var packs []string
	for i, compression := range []string{"gzip", "none", "xz", "zstd", "none"} {
		files := []imagetest.File{dir("d/", 0o755), file(fmt.Sprintf("d/%s-%d", compression, i), 0o644, strings.Repeat("text ", 10+i))}
		if err := os.WriteFile(layer, imagetest.Tar(t, files...), 0o644); err != nil {
			t.Fatal(err)
		}
		pack := filepath.Join(out, fmt.Sprintf("%d.pack", i))
		harness.MustPacker(t, "pack", "--for", "initramfs", "--layer", layer, "--compression", compression, "--out", pack)
		packs = append(packs, "--pack", pack)
	}
	spec := filepath.Join(out, "spec")
	if err := os.WriteFile(spec, fmt.Appendf(nil, `{"src": %q, "dest": "/init", "mode": "0755"}`, k.guest), 0o644); err != nil {
		t.Fatal(err)
	}
	harness.MustPacker(t, "pack-files", "--for", "initramfs", "--spec", spec, "--compression", "zstd", "--out", spec+".pack")
	archive := filepath.Join(out, "mixed")
	args := append([]string{"initramfs", "--compression", "gzip", "--out", archive, "--pack", spec + ".pack"}, packs...)
	harness.MustPacker(t, args...)
	var got []string
	for path := range k.unpacked(t, archive) {
		if strings.HasPrefix(path, "d/") {
			got = append(got, path)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"d/gzip-0", "d/none-1", "d/none-4", "d/xz-2", "d/zstd-3"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// makeInitramfs links packs that packer makes of single files: absolute path to source.
func (k kit) makeInitramfs(t *testing.T, files map[string]string, extra ...string) string {
	t.Helper()
	out := t.TempDir()
	spec, pack, archive := filepath.Join(out, "spec"), filepath.Join(out, "files.pack"), filepath.Join(out, "test.cpio.gz")
	var lines []byte
	for dest, src := range files {
		lines = fmt.Appendf(lines, "{\"src\": %q, \"dest\": %q, \"mode\": \"0755\"}\n", src, dest)
	}
	if err := os.WriteFile(spec, lines, 0o644); err != nil {
		t.Fatal(err)
	}
	harness.MustPacker(t, "pack-files", "--for", "initramfs", "--compression", "gzip", "--spec", spec, "--out", pack)
	args := append([]string{"initramfs", "--compression", "gzip", "--out", archive}, extra...)
	r := harness.MustPacker(t, append(args, "--pack", pack)...)
	t.Log(strings.TrimSpace(r.Output))
	return archive
}

// TestMemory boots machines with the least memory that a manifest may give to an initramfs of 90 MiB, and with too little
// for one of 140 MiB: what the build checks is what the kernel needs.
func TestMemory(t *testing.T) {
	k := newKit(t)
	boot := func(mb int) string {
		data := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(data, make([]byte, mb<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		archive := k.makeInitramfs(t, map[string]string{"/init": k.guest, "/data": data})
		r, err := toolrun.Run(k.boot, "--kernel", k.kernel, "--initramfs", archive, "--memory-mb", "256", "--verbose", "--timeout", "60",
			"--cmdline", "loglevel=5", "--expect", "guest: done <nil>")
		if err != nil {
			t.Fatal(err)
		}
		return r.Output
	}
	if out := boot(90); strings.Contains(out, "unpacking failed") || !strings.Contains(out, "94371840 bytes") {
		t.Errorf("the 90 MiB are not there:\n%s", out)
	}
	if out := boot(140); !strings.Contains(out, "nitramfs unpacking failed") {
		t.Errorf("140 MiB in a machine of 256 should not fit:\n%s", out)
	}
}

// TestBusybox runs a script as the init's program, with the applets that the packer found in the binary.
func TestBusybox(t *testing.T) {
	k := newKit(t)
	imagetest.Need(t, "busybox")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	init, script := filepath.Join(out, "init"), filepath.Join(out, "script")
	if err := toolrun.Build(".", "./tools/init", init); err != nil {
		t.Fatal(err)
	}
	const text = "#!/bin/sh\necho \"guest: pid $$ $(ls /usr/bin | wc -l) $(stat -c %a /tmp) $(readlink /bin/sh)\"\npoweroff -f\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	packs := []string{filepath.Join(out, "busybox.pack"), filepath.Join(out, "init.pack")}
	harness.MustPacker(t, "pack-busybox", "--compression", "gzip", "--busybox", busybox, "--out", packs[0])
	harness.MustPacker(t, "pack-init", "--compression", "gzip", "--init", init, "--exec", "/usr/local/bin/run", "--out", packs[1])
	archive := k.makeInitramfs(t, map[string]string{"/usr/local/bin/run": script},
		"--fill-pack", packs[0], "--pack", packs[1], "--arch", runtime.GOARCH)
	// Without the kernel's messages, which could come in between.
	r, err := toolrun.Run(k.boot, "--kernel", k.kernel, "--initramfs", archive, "--verbose", "--timeout", "60",
		"--cmdline", "quiet loglevel=3", "--expect", "guest: pid 1 ", "--expect", " 1777 /bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 0 {
		t.Errorf("exit code %d\n%s", r.Code, r.Output)
	}
}
