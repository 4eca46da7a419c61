package main

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
	"github.com/fledge-build/fledge/tools/fledge/internal/inspect"
	"github.com/fledge-build/fledge/tools/fledge/internal/origin"
)

// inspectFlags is the command line of fledge inspect.
type inspectFlags struct {
	format, path           string
	depth                  int
	sizes, verify, digests bool
	origin                 originFlags
}

func newInspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show what is in an image",
		Long: `Show what is in an image: a squashfs or an initramfs (cpio), also one that others made, or the image that a manifest.json names. What
it is shows in its content, not in its name. Of erofs, ext4, xfs and btrfs images it reads the superblock, and not the files.

With an image, NAME.manifest.json is shown that lies beside it.

--format text is a summary, tree a line an entry, json everything for programs, mtree a specification for mtree and bsdtar.
docs/inspect.md tells the formats.

--image names the container image that it was made of, as fledge build names images, and has every layer's share shown. The
image is what fledge.lock beside IMAGE or in the working directory pins it to, or else what it is now.

--verify reads every block and checks that all of the image agrees, also with the manifest's digest and with a hash tree of dm-verity.
Of erofs, ext4, xfs and btrfs it checks the superblock, the digest and the hash tree.

Exit codes: 0 success, 1 the image is damaged or cannot be read, 2 the command line is wrong.`,
		Example: `  fledge inspect nginx-rootfs.img
  fledge inspect nginx.manifest.json --verify
  fledge inspect nginx-rootfs.img --format tree --path etc/nginx
  fledge inspect nginx-rootfs.img --sizes --depth 3
  fledge inspect nginx-rootfs.img --image nginx:alpine
  fledge inspect nginx-rootfs.img --format json | jq -r '.entries[] | select(.mode | startswith("4")) | .path'
  fledge inspect nginx-rootfs.img --format mtree > nginx.mtree`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef("inspect takes one image, and %d are given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "text", "`form` of the output: text, tree, json or mtree")
	flags.StringVar(&f.path, "path", "/", "show what is at this `path` of the image and below it")
	flags.IntVar(&f.depth, "depth", 2, "`levels` of directories to show, -1 is all; a tree shows all unless this is given")
	flags.BoolVar(&f.sizes, "sizes", false, "show the sizes of all directories, and of all segments of an initramfs")
	flags.BoolVar(&f.digests, "digests", false, "with --format json, the SHA-256 of every file's content, which takes reading them all")
	flags.BoolVar(&f.verify, "verify", false, "read and check everything, and fail at the first damaged place")
	f.origin.register(flags)
	return cmd
}

func (f *inspectFlags) run(cmd *cobra.Command, name string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	im, err := imagefile.Open(cmd.Context(), name)
	if err != nil {
		return err
	}
	defer im.Close()
	if f.verify {
		if err := im.VerifyAll(); err != nil {
			return err
		}
	}
	from, err := f.origin.find(cmd, im, filepath.Dir(name))
	if err == nil {
		err = f.show(cmd, im, from)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", im.Name, err)
	}
	return nil
}

// check finds flags that contradict each other, and completes them.
func (f *inspectFlags) check(cmd *cobra.Command) error {
	switch f.format {
	case "text", "tree", "json", "mtree":
	default:
		return cli.Usagef("--format %s: there are text, tree, json and mtree", f.format)
	}
	if f.digests && f.format != "json" {
		return cli.Usagef("--digests goes with --format json (mtree has digests always)")
	}
	if f.format == "tree" && !cmd.Flags().Changed("depth") {
		f.depth = -1
	}
	if f.origin.image != "" && (f.format != "text" && f.format != "json" || cleanPath(f.path) != ".") {
		return cli.Usagef("--image goes with --format text or json, and without --path")
	}
	return f.origin.check(cmd.Flags())
}

func (f *inspectFlags) show(cmd *cobra.Command, im *imagefile.Image, from *origin.Report) error {
	out, within := cmd.OutOrStdout(), cleanPath(f.path)
	switch f.format {
	case "tree":
		return inspect.Tree(out, im, within, f.depth, f.sizes)
	case "json":
		return inspect.JSON(out, im, inspect.JSONOptions{Path: within, Digests: f.digests, Origin: from})
	case "mtree":
		return inspect.MTree(out, im, within)
	}
	return inspect.Text(out, im, inspect.TextOptions{
		Path: within, Depth: f.depth, Sizes: f.sizes, Verified: f.verify, Origin: from,
	})
}

// cleanPath is a path of an image in the form that artifacts have, relative to the root.
func cleanPath(p string) string {
	if p = strings.TrimPrefix(path.Clean("/"+p), "/"); p != "" {
		return p
	}
	return "."
}
