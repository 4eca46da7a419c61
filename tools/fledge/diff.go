package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagediff"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
)

// exitDiffer is the exit code of fledge diff when the images differ; 1 is an error in every command.
const exitDiffer = 3

// diffFlags is the command line of fledge diff.
type diffFlags struct {
	format string
	ignore []string
}

func newDiffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what differs between two images",
		Long: `Show what differs between two images, file by file and attribute by attribute: squashfs images and initramfs archives (cpio), also one
of each, also those that others made, or the images that manifest.json files name. Contents are compared by their SHA-256.

--ignore leaves attributes out: ` + strings.Join(imagediff.Attributes, ", ") + `. image is what the
images say of themselves, such as size and compressor; manifest is what differs of the manifests beside them.

Exit codes: 0 nothing differs, 1 an image is damaged or cannot be read, 2 the command line is wrong, 3 the images differ.`,
		Example: `  fledge diff old/app.img new/app.img
  fledge diff old/app.img new/app.img --ignore mtime,image,manifest
  fledge diff a.img b.cpio.gz --format json | jq -r '.changes[] | select(.kind == "added") | .path'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return cli.Usagef("diff takes two images, and %d are given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "text", "`form` of the output: text or json")
	flags.StringSliceVar(&f.ignore, "ignore", nil, "`attributes` that may differ, with commas")
	return cmd
}

func (f *diffFlags) run(cmd *cobra.Command, nameA, nameB string) error {
	if f.format != "text" && f.format != "json" {
		return cli.Usagef("--format %s: there are text and json", f.format)
	}
	for _, name := range f.ignore {
		if !slices.Contains(imagediff.Attributes, name) {
			return cli.Usagef("--ignore %s: there are %s", name, strings.Join(imagediff.Attributes, ", "))
		}
	}
	a, err := imagefile.Open(cmd.Context(), nameA)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := imagefile.Open(cmd.Context(), nameB)
	if err != nil {
		return err
	}
	defer b.Close()
	differ, err := imagediff.Diff(cmd.OutOrStdout(), a, b, imagediff.Options{Ignore: f.ignore, JSON: f.format == "json"})
	if err == nil && differ {
		err = cli.WithExitCode(fmt.Errorf("%s and %s differ", nameA, nameB), exitDiffer)
	}
	return err
}
