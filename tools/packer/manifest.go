package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/ocilayout"
)

func runManifest(_ context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer manifest", flag.ContinueOnError)
	source := fs.String("toml", "", "manifest.toml `file`")
	config := fs.String("image-config", "", "`file` with the image's configuration, for what manifest.toml leaves out")
	arch := fs.String("arch", "", "`architecture` of the guest, amd64 or arm64, which the image must be for")
	name := fs.String("name", "", "`name` for a manifest.toml without one")
	rootfs := fs.String("rootfs", "", "root file system `file`; only its name is used")
	rootfsDigest := fs.String("rootfs-digest", "", "`file` with its digest")
	format := fs.String("rootfs-format", "squashfs", "its `format`: squashfs, erofs, ext4, xfs, btrfs, raw or qcow2")
	rootfsVerity := fs.String("rootfs-verity", "", "`file` that packer rootfs --verity-out wrote for it")
	initramfs := fs.String("initramfs", "", "initramfs `file`, named *.cpio or *.cpio.gz, …; only its name is used")
	initramfsDigest := fs.String("initramfs-digest", "", "`file` with its digest")
	unpacked := fs.String("initramfs-unpacked", "", "`file` with the bytes of memory that it takes unpacked, to check memory_mb")
	compat := fs.String("compat", "", "`form` for an older runtime: volant-0.7")
	out := fs.String("out", "", "manifest.json `file` to write")
	if err := parseFlags(fs, args, stderr, "toml", "out"); err != nil {
		return err
	}
	o := manifest.Options{Name: *name, Compat: *compat, ConfigFile: *config}
	var err error
	if o.RootFS, err = rootfsArtifact(*rootfs, *rootfsDigest, *format, *rootfsVerity); err != nil {
		return err
	}
	if o.Initramfs, err = artifact("initramfs", *initramfs, *initramfsDigest); err != nil {
		return err
	}
	if o.Unpacked, err = readUnpacked(*unpacked); err != nil {
		return err
	}
	if *config != "" {
		if o.Config, err = ocilayout.ReadConfig(*config); err != nil {
			return err
		}
		if err := o.Config.CheckPlatform(*arch); *arch != "" && err != nil {
			return fmt.Errorf("%s: %w", *config, err)
		}
	}
	src, err := readSmall(*source, manifest.MaxTOML)
	if err != nil {
		return err
	}
	m, err := manifest.Generate(*source, src, o)
	if err != nil {
		return err
	}
	raw, err := m.JSON()
	if err != nil {
		return err
	}
	return cli.WriteBuffered(*out, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

// rootfsArtifact is the root file system, with its format and its hash tree if it has one.
func rootfsArtifact(name, digestFile, format, verityFile string) (*manifest.File, error) {
	f, err := artifact("rootfs", name, digestFile)
	if err != nil || f == nil && verityFile == "" {
		return nil, err
	}
	if f == nil {
		return nil, cli.Usagef("--rootfs-verity needs --rootfs")
	}
	f.Format = format
	if verityFile != "" {
		params, err := readVerity(verityFile)
		if err != nil {
			return nil, err
		}
		f.Verity = &params
	}
	return f, nil
}

// readUnpacked reads the number in a file; no file is 0.
func readUnpacked(file string) (int64, error) {
	if file == "" {
		return 0, nil
	}
	raw, err := readSmall(file, 1<<10)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(string(raw), "\n"), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: holds %.80q, not a number of bytes", file, raw)
	}
	return n, nil
}

// artifact is the file given by two flags, nil when neither is.
func artifact(kind, name, digestFile string) (*manifest.File, error) {
	if name == "" && digestFile == "" {
		return nil, nil
	}
	if name == "" || digestFile == "" {
		return nil, cli.Usagef("--%s and --%s-digest go together", kind, kind)
	}
	raw, err := readSmall(digestFile, 1<<10)
	if err != nil {
		return nil, err
	}
	digest := strings.TrimSuffix(string(raw), "\n")
	if !isDigest(digest) {
		return nil, fmt.Errorf("%s: holds %.80q, not sha256: and 64 lower-case hex digits", digestFile, digest)
	}
	return &manifest.File{Name: filepath.Base(name), Checksum: digest}, nil
}

// readSmall reads a file of at most limit bytes, and one byte more of a larger one.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}
