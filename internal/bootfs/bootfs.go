// Package bootfs puts together what boots an image: the init, its configuration and the kernel modules it loads. For a
// squashfs image that is a small initramfs, one gzip-compressed cpio archive; for an initramfs image it is a layer.
package bootfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/cpio"
	"github.com/fledge-build/fledge/internal/kmod"
)

// Options is what a boot initramfs is made of.
type Options struct {
	Init        []byte        // a static Linux program, /init
	OverlaySize string        // default size of the overlay; see bootconf.CheckSize
	Verity      string        // root hash that the disk must have, or where it is given; "" is any disk; see bootconf.CheckVerity
	Modules     []kmod.Module // in the order to load them; all for the init's architecture
}

// Write writes the initramfs to w. The bytes depend on o alone.
func Write(w io.Writer, o Options) error {
	if err := bootconf.CheckSize(o.OverlaySize); err != nil {
		return err
	}
	if o.Verity != "" {
		if err := bootconf.CheckVerity(o.Verity); err != nil {
			return err
		}
	}
	if err := checkPrograms(o.Init, o.Modules); err != nil {
		return err
	}
	return writeGzip(w, func(w io.Writer) error { return writeArchive(w, o) })
}

// writeGzip compresses what write puts out.
func writeGzip(w io.Writer, write func(io.Writer) error) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	z.ModTime, z.OS = time.Unix(0, 0), 255 // no time, unknown system (RFC 1952, section 2.3.1)
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}

func writeArchive(w io.Writer, o Options) error {
	conf := bootconf.Config{OverlaySize: o.OverlaySize, Verity: o.Verity, Modules: fileNames(o.Modules)}
	a := archive{w: cpio.NewWriter(w)}
	a.addBase("dev", "proc", "sys", "fledge", bootconf.ModulesDir)
	a.add(cpio.Header{Name: "init", Mode: cpio.TypeRegular | 0o755}, o.Init)
	a.add(cpio.Header{Name: bootconf.File, Mode: cpio.TypeRegular | 0o644}, conf.Format())
	for i, m := range o.Modules {
		a.add(cpio.Header{Name: bootconf.ModulesDir + "/" + conf.Modules[i], Mode: cpio.TypeRegular | 0o644}, m.Data)
	}
	return a.close()
}

func fileNames(modules []kmod.Module) (names []string) {
	for _, m := range modules {
		names = append(names, m.Name+".ko")
	}
	return names
}

// archive numbers the entries and keeps the first error.
type archive struct {
	w     *cpio.Writer
	inode uint32
	err   error
}

func (a *archive) add(h cpio.Header, data []byte) {
	if a.err != nil {
		return
	}
	a.inode++
	h.Inode, h.Size = a.inode, int64(len(data))
	if a.err = a.w.WriteHeader(&h); a.err == nil {
		_, a.err = a.w.Write(data)
	}
}

// addBase adds directories and the two devices that must be there before the first instruction of the init: the kernel
// opens the console for it, and Go's runtime opens null in place of a console that does not exist.
func (a *archive) addBase(dirs ...string) {
	for _, dir := range dirs {
		a.add(cpio.Header{Name: dir, Mode: cpio.TypeDir | 0o755}, nil)
	}
	a.add(cpio.Header{Name: "dev/console", Mode: cpio.TypeChar | 0o600, Major: 5, Minor: 1}, nil)
	a.add(cpio.Header{Name: "dev/null", Mode: cpio.TypeChar | 0o666, Major: 1, Minor: 3}, nil)
}

// close ends the archive, and gives the first error.
func (a *archive) close() error {
	if a.err != nil {
		return a.err
	}
	return a.w.Close()
}

// checkPrograms finds what the kernel would only tell on the console: an init that needs a loader, or modules for
// another machine.
func checkPrograms(init []byte, modules []kmod.Module) error {
	f, err := elf.NewFile(bytes.NewReader(init))
	if err != nil {
		return fmt.Errorf("init: not a Linux program: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("init: it needs a dynamic loader, which the initramfs lacks: link it statically")
		}
	}
	arch := kmod.ArchOf(f.Machine)
	for _, m := range modules {
		if m.Arch != arch {
			return fmt.Errorf("init is for %s, but module %s is for %s: give the modules of a kernel for %s",
				arch, m.Name, m.Arch, arch)
		}
	}
	return nil
}
