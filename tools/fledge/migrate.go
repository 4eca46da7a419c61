package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/agent/modulefile"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/tomlread"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/migrate"
)

func newMigrateCommand() *cobra.Command {
	m := &migration{}
	cmd := &cobra.Command{
		Use:   "migrate [RECIPE]",
		Short: "Turns a fledge.toml into Bazel targets that build the same bytes",
		Long: `Prints the BUILD.bazel that builds what a fledge.toml does, to the byte, and tells what MODULE.bazel needs for it. Digests come
from fledge.lock, so the recipe has to have been built once. All that it takes from this machine has to lie below its folder.`,
		Example: `  fledge migrate fledge.toml > BUILD.bazel
  fledge migrate --module fledge.toml >> MODULE.bazel
  fledge migrate --write`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return cli.Usagef("migrate takes one recipe, and %d are given", len(args))
			case m.module && m.write:
				return cli.Usagef("--module and --write: one of them prints and the other writes; give one")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return m.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&m.manifest, "manifest", "m", "", "how the image runs, a `file`; by default manifest.toml beside the recipe")
	flags.BoolVar(&m.module, "module", false, "print the lines of MODULE.bazel instead")
	flags.BoolVar(&m.write, "write", false,
		"write BUILD.bazel beside the recipe, and MODULE.bazel there or in the folder above that has one; what is there stays")
	return cmd
}

// migration is a run of fledge migrate.
type migration struct {
	manifest      string
	module, write bool
}

func (m *migration) run(cmd *cobra.Command, args []string) error {
	file := "fledge.toml"
	if len(args) == 1 {
		file = args[0]
	}
	plan, dir, err := m.plan(file)
	if err != nil {
		return err
	}
	if m.write {
		return writeBazelFiles(plan, dir, cmd.ErrOrStderr())
	}
	module, err := plan.Module("MODULE.bazel", nil)
	if err != nil {
		return err
	}
	if m.module {
		_, err := cmd.OutOrStdout().Write(module)
		return err
	}
	targets, err := plan.Build("BUILD.bazel", nil)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.ErrOrStderr(), "# MODULE.bazel needs this, which --module prints and --write adds:\n#\n", commented(string(module)))
	_, err = cmd.OutOrStdout().Write(targets)
	return err
}

// commented makes comments of lines.
func commented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	return out.String()
}

func (m *migration) plan(file string) (plan *migrate.Plan, dir string, err error) {
	r, err := readRecipe(file, "fledge migrate FILE names another recipe")
	if err != nil {
		return nil, "", err
	}
	o := migrate.Options{Recipe: r, Manifest: m.manifest, LockFile: filepath.Join(r.Dir, lockfile.Name)}
	if o.Manifest == "" {
		o.Manifest = filepath.Join(r.Dir, "manifest.toml")
	}
	if o.Lock, err = lockfile.Read(o.LockFile); err != nil {
		return nil, "", err
	}
	plan, err = migrate.New(o)
	return plan, r.Dir, err
}

// writeBazelFiles edits or makes both files, once both are known to be right.
func writeBazelFiles(plan *migrate.Plan, dir string, notes io.Writer) error {
	buildFile := firstThere(filepath.Join(dir, "BUILD.bazel"), filepath.Join(dir, "BUILD"))
	moduleFile, err := findModule(dir)
	if err != nil {
		return err
	}
	targets, err := edit(buildFile, plan.Build)
	if err != nil {
		return err
	}
	module, err := edit(moduleFile, plan.Module)
	if err != nil {
		return err
	}
	for _, out := range []struct {
		path    string
		content []byte
	}{{moduleFile, module}, {buildFile, targets}} {
		err := cli.WriteFile(out.path, func(f *os.File) error {
			_, err := f.Write(out.content)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(notes, "wrote", out.path)
	}
	return nil
}

// edit gives a file as a plan changes it; one that is not there is empty.
func edit(path string, change func(file string, src []byte) ([]byte, error)) ([]byte, error) {
	src, err := tomlread.ReadFile(path, modulefile.MaxSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(src) > modulefile.MaxSize {
		return nil, fmt.Errorf("%s has more than %d bytes", path, modulefile.MaxSize)
	}
	return change(path, src)
}

// firstThere is the first of the files that is there, or else the first.
func firstThere(files ...string) string {
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			return f
		}
	}
	return files[0]
}

// findModule gives the MODULE.bazel of the workspace that a folder is in, or the one to make in it.
func findModule(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := abs; ; at = filepath.Dir(at) {
		file := filepath.Join(at, "MODULE.bazel")
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file, nil
		}
		if at == filepath.Dir(at) {
			return filepath.Join(dir, "MODULE.bazel"), nil
		}
	}
}
