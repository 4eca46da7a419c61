// Package initramfs writes small initramfs archives for tests and benchmarks of the init.
package initramfs

import (
	"bytes"
	"os"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/cpio"
)

// Entry is a file, directory, symlink or device of an archive.
type Entry struct {
	cpio.Header
	Content string // of a file, or target of a symlink
}

// Dir is a directory.
func Dir(name string, mode uint32) Entry {
	return Entry{Header: cpio.Header{Name: name, Mode: cpio.TypeDir | mode}}
}

// File is a regular file.
func File(name string, mode uint32, content string) Entry {
	return Entry{cpio.Header{Name: name, Mode: cpio.TypeRegular | mode}, content}
}

// Link is a symlink.
func Link(name, target string) Entry {
	return Entry{cpio.Header{Name: name, Mode: cpio.TypeSymlink | 0o777}, target}
}

// Device is a character device for root alone.
func Device(name string, major, minor uint32) Entry {
	return Entry{Header: cpio.Header{Name: name, Mode: cpio.TypeChar | 0o600, Major: major, Minor: minor}}
}

// Devices are those that the kernel and Go's runtime want before anything is mounted.
func Devices() []Entry {
	return []Entry{Dir("dev", 0o755), Device("dev/console", 5, 1), Device("dev/null", 1, 3)}
}

// Init is Fledge's init as the program at path, and its configuration.
func Init(path string, program []byte, conf bootconf.Config) []Entry {
	return []Entry{
		File(path, 0o755, string(program)), Dir("fledge", 0o755), Dir(bootconf.ModulesDir, 0o755),
		File(bootconf.File, 0o644, string(conf.Format())),
	}
}

// Write writes an archive, uncompressed, into a file.
func Write(path string, entries []Entry) error {
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for i, e := range entries {
		e.Inode, e.Size = uint32(i+1), int64(len(e.Content))
		if err := w.WriteHeader(&e.Header); err != nil {
			return err
		}
		if _, err := w.Write([]byte(e.Content)); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
