package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/tools/fledge/internal/build"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/naming"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// buildFlags are the flags of fledge build.
type buildFlags struct {
	config, manifest, output string
	arch                     string
	locked                   bool
	lint, compat             string
	direct                   directFlags
	solve                    solveFlags
	common                   commonFlags
	show                     showFlags
}

func newBuildCommand() *cobra.Command {
	f := &buildFlags{}
	cmd := &cobra.Command{
		Use:   "build [DOCKERFILE]",
		Short: "Builds an image from a fledge.toml, or straight from a Dockerfile",
		Long: `Builds the image that a fledge.toml describes, or that of a Dockerfile with Fledge's defaults: a root file system
with the initramfs that boots it, or an initramfs that is the whole system, and its manifest.json.

It needs no root. What tags and "latest" mean is pinned in fledge.lock by the first build; fledge update renews it. What
did not change since an earlier build is neither fetched nor packed again.`,
		Example: `  fledge build
  fledge build --config fledge.toml --manifest manifest.toml --output dist/web
  fledge build --locked --json
  fledge build ./Dockerfile --build-arg VERSION=1.2.3 --network
  fledge build ./Dockerfile --output-initramfs --output app`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return cli.Usagef("build takes one Dockerfile, and %d arguments are given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "fledge.toml", "the recipe, a `file`")
	flags.StringVarP(&f.manifest, "manifest", "m", "", "how the image runs, a `file`; by default manifest.toml beside the recipe, if there is one")
	flags.StringVarP(&f.output, "output", "o", "", "`name` of the outputs: NAME.img or NAME.cpio.gz, and NAME.manifest.json; may have a folder")
	flags.StringVar(&f.arch, "arch", runtime.GOARCH, "`architecture` of the machine that boots it: amd64 or arm64")
	flags.BoolVar(&f.locked, "locked", false, "what is not in fledge.lock, or is another now, is an error")
	flags.StringVar(&f.lint, "lint", "error", "what a program of an initramfs is that cannot run there: an `error` or a warning")
	flags.StringVar(&f.compat, "compat", "", "`form` of manifest.json for an older runtime: volant-0.7")
	f.direct.register(flags)
	f.solve.register(flags)
	f.common.register(flags)
	f.show.register(flags)
	markFiles(cmd, "config", "toml")
	markFiles(cmd, "manifest", "toml")
	return cmd
}

func (f *buildFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.check(cmd, args); err != nil {
		return err
	}
	// When nobody reads any more what the build tells, it ends as an interrupt ends it, and leaves nothing.
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGPIPE)
	defer stop()
	return f.show.tell(cmd, func(u *ui.UI) error { return f.build(ctx, args, u) })
}

func (f *buildFlags) build(ctx context.Context, args []string, u *ui.UI) error {
	o, err := f.options(args, u)
	if err != nil {
		return err
	}
	if o.Payload, err = payload.Open(); err != nil {
		return err
	}
	defer o.Payload.Close()
	if o.Program, err = codeDigest(o.Payload); err != nil {
		return err
	}
	kept, err := f.common.fill(&o, u)
	if err != nil {
		return f.common.withRemedy(err)
	}
	defer kept.Close()
	r, err := build.Run(ctx, o)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted, and nothing is made: %w", context.Cause(ctx))
	}
	if err != nil {
		return f.common.withRemedy(err)
	}
	report(u, r)
	return nil
}

// check finds flags that contradict each other.
func (f *buildFlags) check(cmd *cobra.Command, args []string) error {
	if err := checkArch(f.arch); err != nil {
		return err
	}
	switch {
	case f.lint != "error" && f.lint != "warning":
		return cli.Usagef("--lint %s: it is error or warning", f.lint)
	case f.compat != "" && f.compat != manifest.CompatVolant07:
		return cli.Usagef("--compat %s: it is %s", f.compat, manifest.CompatVolant07)
	case cmd.Flags().Changed("output") && !isName(f.output):
		return cli.Usagef("--output %q: give a name, with a folder if you like", f.output)
	}
	if err := f.solve.check(); err != nil {
		return err
	}
	if len(args) == 0 {
		return f.direct.refuse(cmd.Flags())
	}
	return refuseConfig(cmd.Flags(), args[0])
}

// options says what to build.
func (f *buildFlags) options(args []string, u *ui.UI) (o build.Options, err error) {
	o = build.Options{
		Arch: f.arch, Locked: f.locked, LintWarns: f.lint == "warning", Compat: f.compat, UI: u,
	}
	folder := ""
	if len(args) == 1 {
		if o.Recipe, err = f.direct.recipe(args[0]); err != nil {
			return o, err
		}
		folder = o.Recipe.Source.Context
		o.LockFile = filepath.Join(filepath.Dir(args[0]), lockfile.Name)
	} else {
		if o.Recipe, err = readRecipe(f.config, "--config names another recipe, and fledge build DOCKERFILE needs none"); err != nil {
			return o, err
		}
		folder = o.Recipe.Dir
		o.LockFile = filepath.Join(o.Recipe.Dir, lockfile.Name)
		if f.manifest == "" {
			f.manifest = existing(filepath.Join(o.Recipe.Dir, "manifest.toml"))
		}
	}
	if err := f.name(&o, folder); err != nil {
		return o, err
	}
	if o.Solve, err = f.solve.options(); err != nil {
		return o, err
	}
	if o.Recipe.Source.Dockerfile == "" && f.solve.used(build.Filled(o.Recipe.Filesystem.Type)) {
		return o, cli.Usagef("%s has no Dockerfile, and the flags about its solve are for nothing", o.Recipe.File)
	}
	o.Machine = f.solve.machine(u)
	return o, nil
}

// existing is a file if it is there, else "".
func existing(file string) string {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return file
}

// readRecipe reads a fledge.toml. The remedy is for one that is not there.
func readRecipe(file, remedy string) (*recipe.Recipe, error) {
	src, err := readSmall(file, recipe.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; %s", err, remedy)
	}
	if err != nil {
		return nil, err
	}
	return recipe.Parse(file, src)
}

// name names the outputs, and reads manifest.toml or makes one.
func (f *buildFlags) name(o *build.Options, folder string) (err error) {
	o.ManifestFile = f.manifest
	manifestName := ""
	if f.manifest != "" {
		if o.Manifest, err = readSmall(f.manifest, manifest.MaxTOML); err != nil {
			return err
		}
		manifestName = manifest.Name(o.Manifest)
	}
	names := naming.Of(manifestName, folder)
	if image := o.Recipe.Source.Image; image != "" && o.Recipe.Strategy == recipe.OCIRootfs {
		names = naming.OfImage(image)
	}
	if f.output != "" {
		o.Dir = filepath.Dir(f.output)
		base := outputName(f.output)
		names = naming.Names{Image: base, Manifest: base}
	} else {
		o.Dir = "."
	}
	o.Name, o.ManifestName = names.Image, names.Manifest
	if f.manifest == "" {
		// The image's own config says the rest.
		o.Manifest = fmt.Appendf(nil, "name = %q\nversion = \"1.0.0\"\n", naming.OfFolder(names.Manifest))
	}
	return nil
}

// outputName is the name that --output gives, without what tells the kind of an image.
func outputName(output string) string {
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(output), ".img"), ".cpio.gz")
}

func isName(output string) bool {
	name := outputName(output)
	return output != "" && !strings.HasSuffix(output, "/") && !slices.Contains([]string{"", ".", "..", string(filepath.Separator)}, name)
}

// report says what was made; the image is the last line.
func report(u *ui.UI, r *build.Result) {
	var lines []string
	for i := len(r.Artifacts) - 1; i >= 0; i-- {
		a := r.Artifacts[i]
		lines = append(lines, fmt.Sprintf("%s: %s, %s", a.Path, ui.Size(a.Size), a.Digest))
	}
	if r.RootHash != "" {
		lines = slices.Insert(lines, len(lines)-1, "root hash: "+r.RootHash)
	}
	lines[len(lines)-1] += fmt.Sprintf(", in %.1f s", u.Seconds())
	u.Result(lines, struct {
		Event string `json:"event"`
		*build.Result
		Seconds float64 `json:"seconds"`
	}{"result", r, u.Seconds()})
}
