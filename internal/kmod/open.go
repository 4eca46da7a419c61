package kmod

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// maxModule bounds the unpacked size of a module: far above any real one without debug information.
const maxModule = 256 << 20

// maxDictionary bounds what a header of xz can ask for before there is any data: kernels use 2 MiB, xz -9 64 MiB.
const maxDictionary = 64 << 20

// maxList bounds modules.builtin.
const maxList = 16 << 20

// source gives access to files by slash-separated paths.
type source struct {
	paths []string // every file
	open  func(path string) (io.ReadCloser, error)
	close func() error
}

// Open opens the modules of one kernel: a directory that is, or holds somewhere below, lib/modules/RELEASE, or an
// uncompressed tar of one. It looks for the files that every kernel build installs there (modules.builtin,
// modules.order).
func Open(name string) (*Tree, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	list := listTar
	if st.IsDir() {
		list = listDir
	}
	src, err := list(name)
	if err != nil {
		return nil, fmt.Errorf("kernel modules %s: %w", name, err)
	}
	t, err := newTree(src, name)
	if err != nil {
		src.close()
		return nil, fmt.Errorf("kernel modules %s: %w", name, err)
	}
	return t, nil
}

func newTree(src *source, name string) (*Tree, error) {
	root, err := findRoot(src.paths)
	if err != nil {
		return nil, err
	}
	t := &Tree{files: map[string]string{}, builtin: map[string]bool{}, close: src.close}
	t.read = func(file string) ([]byte, error) { return readModule(src, file) }
	slices.SortFunc(src.paths, comparePaths(root))
	for _, p := range src.paths {
		m := moduleName(p)
		if m != "" && within(root, p) && t.files[m] == "" {
			t.files[m] = p
		}
	}
	if err := t.readBuiltin(src, path.Join(root, "modules.builtin")); err != nil {
		return nil, err
	}
	if t.release, err = t.findRelease(src); err != nil {
		return nil, err
	}
	if t.release == "" { // all is built in, only the folder's name is left to tell
		t.release = path.Base(path.Join(filepath.ToSlash(name), root))
	}
	return t, nil
}

// findRoot finds the folder of the one kernel in paths.
func findRoot(paths []string) (string, error) {
	var roots []string
	for _, p := range paths {
		if base := path.Base(p); base == "modules.builtin" || base == "modules.order" {
			roots = append(roots, path.Dir(p))
		}
	}
	slices.Sort(roots)
	roots = slices.Compact(roots)
	switch len(roots) {
	case 0:
		return "", errors.New("no modules.builtin or modules.order in it: give the folder lib/modules/RELEASE of a kernel")
	case 1:
		return roots[0], nil
	}
	return "", fmt.Errorf("several kernels in it (%s): give one of these folders", strings.Join(roots, ", "))
}

// comparePaths puts updates/ first, as depmod's default search order does, and sorts all else bytewise.
func comparePaths(root string) func(a, b string) int {
	updates := path.Join(root, "updates")
	return func(a, b string) int {
		if x, y := within(updates, a), within(updates, b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	}
}

func within(dir, p string) bool { return dir == "." || strings.HasPrefix(p, dir+"/") }

func (t *Tree) readBuiltin(src *source, file string) error {
	if !slices.Contains(src.paths, file) {
		return nil
	}
	r, err := src.open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := readAtMost(r, maxList)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for line := range strings.FieldsSeq(string(b)) {
		t.builtin[moduleName(line)] = true
	}
	return nil
}

// findRelease asks one of the modules: in a build system the folder may have any name.
func (t *Tree) findRelease(src *source) (string, error) {
	for _, p := range src.paths {
		if t.files[moduleName(p)] != p {
			continue
		}
		data, err := t.read(p)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p, err)
		}
		info, err := parseModinfo(data)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p, err)
		}
		return info.release, nil
	}
	return "", nil
}

func readModule(src *source, file string) ([]byte, error) {
	r, err := src.open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	d, err := decompressor(r, path.Ext(file))
	if err != nil {
		return nil, err
	}
	return readAtMost(d, maxModule)
}

func decompressor(r io.Reader, ext string) (io.Reader, error) {
	switch ext {
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		return xz.NewReader(r, maxDictionary)
	case ".zst":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxModule))
	}
	return r, nil
}

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("larger than %d MiB", limit>>20)
	}
	return b, nil
}

func listDir(name string) (*source, error) {
	root := os.DirFS(name)
	src := &source{close: func() error { return nil }}
	src.open = func(p string) (io.ReadCloser, error) { return root.Open(p) }
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() { // not only regular ones: a build system may put symlinks in their place
			src.paths = append(src.paths, p)
		}
		return err
	})
	return src, err
}

// listTar lists an uncompressed tar. Opening a file in it goes through the headers again, which is quick: the reader
// skips over contents by seeking.
func listTar(name string) (*source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	src := &source{close: f.Close}
	err = eachFile(f, func(p string, _ io.Reader) bool {
		src.paths = append(src.paths, p)
		return true
	})
	if err != nil {
		err = tarError(f, err)
		f.Close()
		return nil, err
	}
	src.open = func(p string) (io.ReadCloser, error) {
		var found io.ReadCloser
		err := eachFile(f, func(q string, r io.Reader) bool {
			if p == q {
				found = io.NopCloser(r)
			}
			return found == nil
		})
		if err == nil && found == nil {
			err = fmt.Errorf("%s: %w", p, fs.ErrNotExist)
		}
		return found, err
	}
	return src, nil
}

// eachFile calls do for the regular files of a tar until it returns false.
func eachFile(f *os.File, do func(path string, r io.Reader) bool) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg && !do(path.Clean(strings.TrimLeft(h.Name, "/")), r) {
			return nil
		}
	}
}

// tarError says what the file is when it is no tar, as far as its first bytes tell.
func tarError(f *os.File, err error) error {
	head := make([]byte, 6)
	n, _ := f.ReadAt(head, 0)
	for _, magic := range []string{"\x1f\x8b", "\x28\xb5\x2f\xfd", "\xfd7zXZ\x00"} {
		if bytes.HasPrefix(head[:n], []byte(magic)) {
			return errors.New("a compressed file: give the folder, or a tar that is not compressed")
		}
	}
	return fmt.Errorf("neither a folder nor a tar: %w", err)
}
