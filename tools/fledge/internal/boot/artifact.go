// Package boot runs an image in a virtual machine with its console on the terminal.
package boot

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/tools/fledge/internal/naming"
)

// Artifact is what there is to boot.
type Artifact struct {
	Rootfs       string // file; "" is none
	Initramfs    string // file; "" is none
	ManifestFile string
	Manifest     *manifest.Manifest // nil is none
}

// Find tells what an image is by its content: a manifest.json, a disk image or an initramfs. To a disk image belong the boot
// initramfs and, as to an initramfs, the manifest that are beside it by the names that Fledge gives them. An initramfs that is given
// replaces the one that is found. Files that a manifest names must have the digests that it says.
func Find(image, initramfs string) (Artifact, error) {
	kind, err := kindOf(image)
	if err != nil {
		return Artifact{}, err
	}
	a := Artifact{Initramfs: initramfs}
	switch {
	case kind == kindManifest:
		err := a.readManifest(image)
		return a, err
	case kind == kindInitramfs && initramfs != "":
		return a, fmt.Errorf("%s is an initramfs itself, so that --initramfs has no place", image)
	}
	for _, name := range naming.ManifestsOf(image) {
		found, err := a.useManifest(name, image)
		if found || err != nil {
			return a, err
		}
	}
	if kind == kindInitramfs {
		a.Initramfs = image
		return a, nil
	}
	a.Rootfs = image
	err = a.findInitramfs()
	return a, err
}

type kind int

const (
	kindDisk kind = iota
	kindManifest
	kindInitramfs
)

// initramfsMagics are the first bytes of a cpio archive (newc) and of the compressors that the kernel unpacks.
var initramfsMagics = []string{"070701", "070702", "\x1f\x8b", "\x28\xb5\x2f\xfd", "\xfd7zXZ\x00", "\x02\x21\x4c\x18", "BZh", "\x5d\x00\x00"}

func kindOf(image string) (kind, error) {
	f, err := os.Open(image)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, 8)
	if _, err := io.ReadFull(f, head); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it is too short for an image; fledge boots a manifest.json, a disk image or an initramfs")
		}
		return 0, fmt.Errorf("%s: %w", image, err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) {
		return kindManifest, nil
	}
	for _, magic := range initramfsMagics {
		if bytes.HasPrefix(head, []byte(magic)) {
			return kindInitramfs, nil
		}
	}
	return kindDisk, nil
}

func (a *Artifact) findInitramfs() error {
	if a.Initramfs != "" {
		_, err := os.Stat(a.Initramfs)
		return err
	}
	s := naming.Stem(a.Rootfs)
	names := []string{s + ".initramfs.cpio.gz", strings.TrimSuffix(s, "-rootfs") + ".initramfs.cpio.gz"}
	for _, name := range names {
		if _, err := os.Stat(name); err == nil {
			a.Initramfs = name
			return nil
		}
	}
	return fmt.Errorf("%s has no boot initramfs beside it, %s: give it with --initramfs", a.Rootfs, names[0])
}

// useManifest takes a manifest that is there and names the image.
func (a *Artifact) useManifest(name, image string) (found bool, err error) {
	m, err := manifest.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, part := range []*manifest.Artifact{m.RootFS, m.Initramfs} {
		if part == nil {
			continue
		}
		if file, err := naming.Located(name, part); err == nil && filepath.Clean(file) == filepath.Clean(image) {
			return true, a.readManifest(name)
		}
	}
	return false, nil
}

// readManifest takes what a manifest names, and checks it.
func (a *Artifact) readManifest(name string) error {
	m, err := manifest.ReadFile(name)
	if err != nil {
		return err
	}
	if m.RootFS == nil && m.Initramfs == nil {
		return fmt.Errorf("%s names neither a rootfs nor an initramfs: is it an image's manifest.json?", name)
	}
	a.Manifest, a.ManifestFile = m, name
	if m.RootFS != nil {
		if a.Rootfs, err = checked(name, "rootfs", m.RootFS); err != nil {
			return err
		}
	}
	if m.Initramfs != nil && a.Initramfs == "" {
		if a.Initramfs, err = checked(name, "initramfs", m.Initramfs); err != nil {
			return err
		}
	}
	if a.Initramfs == "" {
		return a.findInitramfs()
	}
	return nil
}

func checked(name, what string, part *manifest.Artifact) (string, error) {
	file, err := naming.Located(name, part)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", name, what, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", name, what, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %s: %w", name, what, err)
	}
	if got := fmt.Sprintf("sha256:%x", h.Sum(nil)); got != part.Checksum {
		return "", fmt.Errorf("%s: %s: %s has the digest %s, and the manifest says %s: one of the two is of another build; build both anew",
			name, what, file, got, cmp.Or(part.Checksum, "nothing"))
	}
	return file, nil
}
