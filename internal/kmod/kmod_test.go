package kmod

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/kmodtest"
)

const release = "6.1.0-test"

func module(depends string) []byte { return kmodtest.Module(release, depends) }

func compressed(t testing.TB, ext string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch ext {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	default:
		return data
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writeTree(t *testing.T, root string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// kernel is a small kernel whose modules have every way of compression.
func kernel(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"modules.builtin":                 []byte("kernel/fs/ext4/ext4.ko\nkernel/drivers/char/hw_random/rng-core.ko\n"),
		"modules.order":                   nil,
		"kernel/virtio.ko.gz":             compressed(t, ".gz", module("virtio_ring")),
		"kernel/virtio_ring.ko.xz":        compressed(t, ".xz", module("")),
		"kernel/virtio_pci.ko.zst":        compressed(t, ".zst", module("virtio,virtio_ring,virtio_pci_legacy_dev")),
		"kernel/virtio-pci-legacy-dev.ko": module(""),
		"kernel/virtio_blk.ko":            module("virtio_ring,virtio"),
		"kernel/broken.ko":                []byte("no ELF at all"),
		"kernel/lost.ko":                  module("virtio,nowhere"),
		"kernel/circle1.ko":               module("circle2"),
		"kernel/circle2.ko":               module("circle1"),
		"kernel/needs_builtin.ko":         module("rng-core"),
		"kernel/doubled.ko":               module("virtio"),
		"updates/doubled.ko":              module(""),
		"kernel/README":                   []byte("not a module"),
	}
}

func names(modules []Module) string {
	var s []string
	for _, m := range modules {
		s = append(s, m.Name)
	}
	return strings.Join(s, " ")
}

func open(t *testing.T, name string) *Tree {
	t.Helper()
	tree, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, kernel(t))
	tree := open(t, dir)
	if tree.Release() != release {
		t.Errorf("release %q, want that of the modules, %q", tree.Release(), release)
	}
	for _, tt := range []struct{ wanted, want, err string }{
		{"virtio_blk", "virtio_ring virtio virtio_blk", ""},
		{"virtio-pci virtio-blk", "virtio_ring virtio virtio_pci_legacy_dev virtio_pci virtio_blk", ""},
		{"virtio_blk virtio_pci virtio_blk", "virtio_ring virtio virtio_blk virtio_pci_legacy_dev virtio_pci", ""},
		{"ext4", "", ""},
		{"needs_builtin rng_core", "needs_builtin", ""},
		{"doubled", "doubled", ""},
		{"", "", ""},
		{"virtio squashfs", "", "kernel 6.1.0-test has no module squashfs, neither as one of its 11 files"},
		{"lost", "", "kernel 6.1.0-test has no module nowhere, which lost depends on, neither"},
		{"circle1", "", "kernel 6.1.0-test: modules depend on each other in a circle: circle1 → circle2 → circle1"},
		{"broken", "", "kernel 6.1.0-test: module kernel/broken.ko: not a kernel module: "},
	} {
		got, err := tree.Resolve(strings.Fields(tt.wanted))
		if tt.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %s…", tt.wanted, err, tt.err)
			}
			continue
		}
		if err != nil || names(got) != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.wanted, names(got), err, tt.want)
		}
		for _, m := range got {
			if !bytes.HasPrefix(m.Data, []byte("\x7fELF")) || m.Arch != "amd64" {
				t.Errorf("%s: module %s is not unpacked or its machine (%s) not known", tt.wanted, m.Name, m.Arch)
			}
		}
	}
	if !tree.Has("virtio-blk") || !tree.Has("ext4") || tree.Has("squashfs") {
		t.Error("Has is wrong")
	}
	if !tree.HasFile("virtio-blk") || tree.HasFile("ext4") || tree.HasFile("squashfs") {
		t.Error("HasFile is wrong")
	}
}

// TestOpenForms opens the same kernel at each place where Open looks for it.
func TestOpenForms(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, filepath.Join(dir, "root/usr/lib/modules", release), kernel(t))
	for _, prefix := range []string{"", "./", "./lib/modules/" + release + "/", "/lib/modules/" + release + "/"} {
		file := filepath.Join(dir, "modules.tar")
		writeTar(t, file, prefix, kernel(t))
		checkForm(t, "tar of "+prefix, file)
	}
	checkForm(t, "root", filepath.Join(dir, "root"))
	checkForm(t, "modules folder", filepath.Join(dir, "root/usr/lib/modules"))
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "root/usr/lib/modules", release), link); err != nil {
		t.Fatal(err)
	}
	checkForm(t, "symlink", link)
	farm := filepath.Join(dir, "farm")
	for name := range kernel(t) {
		if err := os.MkdirAll(filepath.Join(farm, path.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(link, name), filepath.Join(farm, name)); err != nil {
			t.Fatal(err)
		}
	}
	checkForm(t, "folder of symlinks", farm)
}

func checkForm(t *testing.T, form, name string) {
	t.Helper()
	tree := open(t, name)
	got, err := tree.Resolve([]string{"virtio_pci", "ext4"})
	if err != nil || names(got) != "virtio_ring virtio virtio_pci_legacy_dev virtio_pci" {
		t.Errorf("%s: got %q, %v", form, names(got), err)
	}
}

func writeTar(t *testing.T, file, prefix string, files map[string][]byte) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for name, data := range files {
		h := &tar.Header{Name: prefix + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string][]byte{
		"empty/file":                 nil,
		"two/6.1/modules.builtin":    nil,
		"two/6.2/modules.order":      nil,
		"garbage.tar":                []byte(strings.Repeat("garbage", 200)),
		"modules.tar.gz":             compressed(t, ".gz", []byte("x")),
		"modules.tar.xz":             compressed(t, ".xz", []byte("x")),
		"modules.tar.zst":            compressed(t, ".zst", []byte("x")),
		"bad/modules.builtin":        nil,
		"bad/kernel/truncated.ko.gz": compressed(t, ".gz", module(""))[:20],
	})
	for name, want := range map[string]string{
		"missing":         "no such file",
		"empty":           "no modules.builtin or modules.order in it",
		"two":             "several kernels in it (6.1, 6.2)",
		"garbage.tar":     "neither a folder nor a tar",
		"modules.tar.gz":  "a compressed file: give the folder",
		"modules.tar.xz":  "a compressed file: give the folder",
		"modules.tar.zst": "a compressed file: give the folder",
		"bad":             "kernel/truncated.ko.gz: unexpected EOF",
	} {
		_, err := Open(filepath.Join(dir, name))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one about %q", name, err, want)
		}
	}
}

func TestAllBuiltIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "6.6.1-all")
	writeTree(t, dir, map[string][]byte{"modules.builtin": []byte("kernel/fs/squashfs/squashfs.ko\n")})
	tree := open(t, dir)
	if got, err := tree.Resolve([]string{"squashfs"}); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	const want = "kernel 6.6.1-all has no module overlay"
	if _, err := tree.Resolve([]string{"overlay"}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestAgainstDepmod compares every module of real kernels with what depmod finds out from their symbols.
func TestAgainstDepmod(t *testing.T) {
	for arch, variable := range map[string]string{
		"amd64": "FLEDGE_KERNEL_MODULES", "arm64": "FLEDGE_KERNEL_ARM64_MODULES",
	} {
		t.Run(arch, func(t *testing.T) {
			src := os.Getenv(variable)
			if src == "" {
				t.Skipf("needs %s, the folder lib/modules/RELEASE of a kernel", variable)
			}
			compareWithDepmod(t, src, arch)
		})
	}
}

func compareWithDepmod(t *testing.T, src, arch string) {
	t.Helper()
	if _, err := exec.LookPath("depmod"); err != nil {
		t.Skipf("needs depmod: %v", err)
	}
	tree := open(t, src)
	root := t.TempDir()
	dst := filepath.Join(root, "lib/modules", tree.Release())
	if err := os.CopyFS(dst, os.DirFS(src)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("depmod", "-b", root, tree.Release()).CombinedOutput(); err != nil {
		t.Fatalf("depmod: %v: %s", err, out)
	}
	dep, err := os.ReadFile(filepath.Join(dst, "modules.dep"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(dep)) { // "kernel/a.ko: kernel/b.ko kernel/c.ko", all that a needs
		files := strings.Fields(strings.Replace(line, ":", "", 1))
		var want, got []string
		for _, file := range files {
			want = append(want, moduleName(file))
		}
		modules, err := tree.Resolve(want[:1])
		if err != nil {
			t.Errorf("%s: %v", files[0], err)
			continue
		}
		checkOrder(t, tree, modules)
		for _, m := range modules {
			got = append(got, m.Name)
			if m.Arch != arch {
				t.Errorf("%s is for %s, want %s", m.Name, m.Arch, arch)
			}
		}
		slices.Sort(want) // the order among independent modules is free
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: modules differ (-depmod +got):\n%s", files[0], diff)
		}
	}
}

// checkOrder checks that each module comes after those that it depends on.
func checkOrder(t *testing.T, tree *Tree, modules []Module) {
	t.Helper()
	loaded := map[string]bool{}
	for _, m := range modules {
		info, err := parseModinfo(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range info.depends {
			if d := normalize(dep); !loaded[d] && !tree.builtin[d] {
				t.Errorf("%s comes before %s, which it depends on", m.Name, d)
			}
		}
		loaded[m.Name] = true
	}
}

func FuzzModinfo(f *testing.F) {
	f.Add(module("virtio,virtio_ring"))
	f.Add(module(""))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var info modinfo
		var err error
		fuzztest.Limit(t, 32<<20+100*len(data), func() { info, err = parseModinfo(data) })
		if err == nil && slices.Contains(info.depends, "\x00") {
			t.Error("an entry goes past its NUL byte")
		}
	})
}

// FuzzModule reads modules by each of the endings that modules have.
func FuzzModule(f *testing.F) {
	endings := []string{".ko", ".ko.gz", ".ko.xz", ".ko.zst"}
	for i, ending := range endings {
		f.Add(uint8(i), compressed(f, path.Ext(ending), module("virtio")))
	}
	f.Fuzz(func(t *testing.T, ending uint8, data []byte) {
		src := &source{open: func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
		var out []byte
		var err error
		// What is read grows by doubling.
		fuzztest.Limit(t, 4*maxModule+2*maxDictionary, func() {
			out, err = readModule(src, "m"+endings[int(ending)%len(endings)])
		})
		if err == nil && len(out) > maxModule {
			t.Errorf("%d bytes", len(out))
		}
	})
}
