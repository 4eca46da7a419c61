package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/layerpack"
)

func runPack(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("packer pack", flag.ContinueOnError)
	var flags packFlags
	flags.register(fs)
	layer := fs.String("layer", "", "layer `file`: tar, tar+gzip or tar+zstd")
	digest := fs.String("digest", "", "`sha256:HEX` of the layer file, which is checked")
	maxUnpacked := maxUnpackedFlag(fs)
	out := fs.String("out", "", "`file` to write the layer pack to")
	if err := parseFlags(fs, args, stderr, "layer", "out"); err != nil {
		return err
	}
	settings, err := flags.settings()
	if err != nil {
		return err
	}
	if *digest != "" && !isDigest(*digest) {
		return cli.Usagef("--digest %q: give sha256: and 64 lower case hex digits", *digest)
	}
	return cli.WriteFile(*out, func(f *os.File) error {
		_, err := settings.Write(f, func(to layerpack.Adder) error {
			return addLayer(ctx, to, *layer, *digest, *maxUnpacked)
		})
		return err
	})
}

func isDigest(s string) bool {
	digits, ok := strings.CutPrefix(s, "sha256:")
	b, err := hex.DecodeString(digits)
	return ok && err == nil && len(b) == sha256.Size && digits == strings.ToLower(digits)
}

// addLayer adds the entries of the layer file at path. A digest that is not empty must be that of the file.
func addLayer(ctx context.Context, to layerpack.Adder, path, digest string, maxUnpacked int64) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	name := "layer " + path
	if digest == "" {
		err = layerpack.AddLayer(ctx, to, in, info.Size(), maxUnpacked)
	} else {
		name = fmt.Sprintf("layer %s (%s)", digest, path)
		h := sha256.New()
		err = layerpack.AddLayer(ctx, to, io.TeeReader(in, h), info.Size(), maxUnpacked)
		if wrong := checkDigest(ctx, in, h, digest); wrong != nil {
			err = wrong // it explains any other error
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// checkDigest reads the rest of in and compares the digest of all of it.
func checkDigest(ctx context.Context, in io.Reader, h hash.Hash, want string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := io.Copy(h, in); err != nil {
		return err
	}
	if got := fmt.Sprintf("sha256:%x", h.Sum(nil)); got != want {
		return fmt.Errorf("the file is damaged or another one: its digest is %s; fetch it again or correct the digest", got)
	}
	return nil
}
