package corpus

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/e2e/layers"
)

// split divides the Debian root folder into the system and the runtime layer. Both write in path order; hard links name
// the first path of their group, the system's first.
func split(dir string) (system, runtime layers.Layer, err error) {
	owner, err := readOwnership(dir)
	if err != nil {
		return nil, nil, err
	}
	root := filepath.Join(dir, "root")
	links := map[uint64]string{}
	part := func(isRuntime bool) layers.Layer {
		return func(w *layers.Writer) error {
			return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				rel, err := filepath.Rel(root, path)
				if err != nil || skipped(rel, entry) || owner.isRuntime(rel) != isRuntime {
					return err
				}
				return addPath(w, path, rel, links)
			})
		}
	}
	return part(false), part(true), nil
}

func addPath(w *layers.Writer, path, rel string, links map[uint64]string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	h.Name = rel
	if info.IsDir() {
		h.Name += "/"
	}
	stat := info.Sys().(*syscall.Stat_t)
	// Names and access times are this machine's, not the image's.
	h.Uname, h.Gname, h.AccessTime, h.ChangeTime = "", "", time.Time{}, time.Time{}
	if !info.IsDir() && stat.Nlink > 1 {
		if first, seen := links[stat.Ino]; seen {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return w.Add(h, nil)
		}
		links[stat.Ino] = rel
	}
	if h.PAXRecords, err = xattrRecords(path); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return w.Add(h, nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.Add(h, f)
}

func xattrRecords(path string) (map[string]string, error) {
	names := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, names)
	if errors.Is(err, unix.ENOTSUP) || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("xattrs of %s: %w", path, err)
	}
	records := map[string]string{}
	for _, name := range bytes.Split(bytes.TrimSuffix(names[:n], []byte{0}), []byte{0}) {
		if strings.HasPrefix(string(name), "system.") {
			continue
		}
		value := make([]byte, 1<<16)
		size, err := unix.Lgetxattr(path, string(name), value)
		if err != nil {
			return nil, fmt.Errorf("xattr %s of %s: %w", name, path, err)
		}
		records[xattrPrefix+string(name)] = string(value[:size])
	}
	return records, nil
}
