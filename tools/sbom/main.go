// Command sbom says what an image holds and how it was built: a software bill of materials as SPDX, and a provenance
// statement of in-toto and SLSA. It is what the Bazel rules run: flags in, files out, no network.
//
// Exit codes: 0 success, 1 a bad input or a failed read or write, 2 a wrong command line.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/inventory"
	"github.com/fledge-build/fledge/tools/sbom/spdx"
)

const usageText = `usage: sbom COMMAND [flags]

commands:
  spdx        write what an image holds, as SPDX 2.3
  provenance  write how it was built, as an in-toto statement

sbom COMMAND -help lists a command's flags.
`

func main() {
	cli.Main("sbom", func(ctx context.Context) error { return dispatch(ctx, os.Args[1:], os.Stderr) })
}

func dispatch(ctx context.Context, args []string, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usageText)
		return cli.Usagef("no command given")
	}
	var run func(ctx context.Context, args []string, stderr io.Writer) error
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stderr, usageText)
		return nil
	case "spdx":
		run = runSPDX
	case "provenance":
		run = runProvenance
	default:
		return cli.Usagef("unknown command %q; sbom help lists the commands", args[0])
	}
	if err := run(ctx, args[1:], stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// imageFlags are the flags of both commands.
type imageFlags struct {
	*flag.FlagSet
	parts, name, digest, boot, bootDigest, out string
}

func newFlags(command string) *imageFlags {
	f := &imageFlags{FlagSet: flag.NewFlagSet("sbom "+command, flag.ContinueOnError)}
	f.StringVar(&f.parts, "parts", "", "`file` with what the image is made of: a JSON object a line")
	f.StringVar(&f.name, "name", "", "`name` of the image's file")
	f.StringVar(&f.digest, "digest", "", "`file` with the image's sha256:HEX")
	f.StringVar(&f.boot, "boot", "", "`name` of the initramfs that boots the image")
	f.StringVar(&f.bootDigest, "boot-digest", "", "`file` with that initramfs's sha256:HEX")
	f.StringVar(&f.out, "out", "", "`file` to write")
	return f
}

func (f *imageFlags) parse(args []string, stderr io.Writer) error {
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	f.SetOutput(stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.Usage()
		return err
	case err != nil:
		return cli.Usagef("%v", err)
	case f.NArg() > 0:
		return cli.Usagef("unexpected argument %q", f.Arg(0))
	case f.parts == "" || f.name == "" || f.digest == "" || f.out == "":
		return cli.Usagef("--parts, --name, --digest and --out are required")
	case (f.boot == "") != (f.bootDigest == ""):
		return cli.Usagef("--boot and --boot-digest belong together")
	}
	return nil
}

// image reads the digests.
func (f *imageFlags) image() (image spdx.Image, err error) {
	image.Name = filepath.Base(f.name)
	if image.SHA256, err = readDigest(f.digest); err != nil || f.boot == "" {
		return image, err
	}
	image.Boot = &spdx.Artifact{Name: filepath.Base(f.boot)}
	image.Boot.SHA256, err = readDigest(f.bootDigest)
	return image, err
}

// readDigest reads a file with a line sha256:HEX and gives the digits.
func readDigest(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), "sha256:")
	if b, err := hex.DecodeString(digits); !ok || err != nil || len(b) != 32 {
		return "", fmt.Errorf("%s: %.80q is no digest: sha256: and 64 digits", path, text)
	}
	return digits, nil
}

func readParts(path string) ([]inventory.Part, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parts, err := inventory.ReadParts(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parts, nil
}

func runSPDX(ctx context.Context, args []string, stderr io.Writer) error {
	f := newFlags("spdx")
	if err := f.parse(args, stderr); err != nil {
		return err
	}
	image, err := f.image()
	if err != nil {
		return err
	}
	parts, err := readParts(f.parts)
	if err != nil {
		return err
	}
	inv, err := inventory.Take(ctx, parts)
	if err != nil {
		return err
	}
	return cli.WriteBuffered(f.out, func(w io.Writer) error { return spdx.Write(w, image, inv) })
}
