package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxUnpacked bounds the files of a zip that are unpacked, in bytes: Go 1.26 has 170 MB of them, the compiled standard
// library 100 MB.
const maxUnpacked = 1 << 30

// unpackSDK unpacks what builds of programs need from an SDK's zip to the folder dir. The zip is the module
// golang.org/toolchain: its names begin with MODULE@VERSION/, and go.mod files are named _go.mod, as a module zip has
// no others. (https://go.dev/ref/mod#zip-files, https://go.dev/doc/toolchain)
func unpackSDK(name, dir string) error {
	// Module zips have no modes, and programs need the run bit.
	return unpack(name, dir, 0o755, func(entry string) (string, error) {
		_, rest, found := strings.Cut(entry, "@")
		_, file, nested := strings.Cut(rest, "/")
		switch {
		case !found || !nested || !fs.ValidPath(file):
			return "", errors.New("its name is not MODULE@VERSION/FILE")
		case !needed(file):
			return "", nil
		case path.Base(file) == "_go.mod":
			file = path.Join(path.Dir(file), "go.mod")
		}
		return file, nil
	})
}

// unpack unpacks a zip to the folder dir. place says where an entry belongs in that, "" for one that is passed over.
func unpack(name, dir string, mode fs.FileMode, place func(entry string) (string, error)) error {
	z, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer z.Close()
	left := int64(maxUnpacked)
	for _, f := range z.File {
		file, err := place(f.Name)
		if err != nil {
			return fmt.Errorf("entry %q: %w", f.Name, err)
		}
		if file == "" {
			continue
		}
		if left -= int64(f.UncompressedSize64); left < 0 || f.UncompressedSize64 > maxUnpacked {
			return fmt.Errorf("entry %q: more than %d bytes with it", f.Name, maxUnpacked)
		}
		if err := unpackFile(f, filepath.Join(dir, filepath.FromSlash(file)), mode); err != nil {
			return fmt.Errorf("entry %q: %w", f.Name, err)
		}
	}
	return nil
}

// needed tells the parts of an SDK that compile programs from tests and from the sources of the SDK's own programs.
func needed(file string) bool {
	switch {
	case strings.HasSuffix(file, "_test.go"), strings.Contains(file, "/testdata/"), strings.HasPrefix(file, "src/cmd/"):
		return false
	case strings.HasPrefix(file, "src/"), strings.HasPrefix(file, "pkg/"), strings.HasPrefix(file, "lib/"):
		return true
	}
	return file == "bin/go" || file == "go.env" || file == "VERSION"
}

func unpackFile(f *zip.File, name string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	return write(name, mode, in)
}

// write makes a new file.
func write(name string, mode fs.FileMode, in io.Reader) error {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
