package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/build"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// updateFlags are the flags of fledge update.
type updateFlags struct {
	config string
	arch   string
	direct directFlags
	common commonFlags
	show   showFlags
}

func newUpdateCommand() *cobra.Command {
	f := &updateFlags{}
	cmd := &cobra.Command{
		Use:   "update [DOCKERFILE]",
		Short: "Pins anew in fledge.lock what tags and versions stand for",
		Long: `Asks registries and servers what the image of a fledge.toml, the base images of its Dockerfile, the agent and busybox are
now, and writes that to fledge.lock beside it. It builds nothing. What other recipes of the folder have in the lock stays.

For a Dockerfile that is built without a recipe, give it with the flags that fledge build gets.`,
		Example: `  fledge update
  fledge update --config db/fledge.toml && git diff db/fledge.lock
  fledge update ./Dockerfile --agent v0.7.3`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return cli.Usagef("update takes one Dockerfile, and %d arguments are given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			return f.show.tell(cmd, func(u *ui.UI) error { return f.update(cmd.Context(), args, u) })
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "fledge.toml", "the recipe, a `file`")
	cmd.Flags().StringVar(&f.arch, "arch", runtime.GOARCH, "`architecture` of the machine that boots the image: amd64 or arm64; the agent is renewed for those in the lock, too")
	f.direct.registerPinned(cmd.Flags())
	f.common.register(cmd.Flags())
	f.show.register(cmd.Flags())
	markFiles(cmd, "config", "toml")
	return cmd
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return cli.Usagef("%s takes no arguments, and %q is one", cmd.CommandPath(), args[0])
	}
	return nil
}

// check finds flags that contradict each other.
func (f *updateFlags) check(cmd *cobra.Command, args []string) error {
	if err := checkArch(f.arch); err != nil {
		return err
	}
	if len(args) == 0 {
		return f.direct.refuse(cmd.Flags())
	}
	return refuseConfig(cmd.Flags(), args[0])
}

func (f *updateFlags) update(ctx context.Context, args []string, u *ui.UI) (err error) {
	o := build.Options{Arch: f.arch, UI: u}
	if len(args) == 1 {
		o.Recipe, err = f.direct.recipe(args[0])
		o.LockFile = filepath.Join(filepath.Dir(args[0]), lockfile.Name)
	} else if o.Recipe, err = readRecipe(f.config, "--config names another recipe, and fledge update DOCKERFILE needs none"); err == nil {
		o.LockFile = filepath.Join(o.Recipe.Dir, lockfile.Name)
	}
	if err != nil {
		return err
	}
	kept, err := f.common.fill(&o, u)
	if err != nil {
		return f.common.withRemedy(err)
	}
	defer kept.Close()
	changes, err := build.Update(ctx, o)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted, and %s is as it was: %w", o.LockFile, context.Cause(ctx))
	}
	if err != nil {
		return f.common.withRemedy(err)
	}
	reportUpdate(u, o.LockFile, changes)
	return nil
}

func reportUpdate(u *ui.UI, lock string, changes []build.Change) {
	var lines []string
	for _, c := range changes {
		line := c.What
		if c.Arch != "" {
			line += " for " + c.Arch
		}
		line += ": " + c.Now
		switch c.Was {
		case "":
		case c.Now:
			line += ", as before"
		default:
			line += ", was " + c.Was
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		lines = []string{fmt.Sprintf("%s: nothing to pin", lock)}
	}
	u.Result(lines, struct {
		Event string         `json:"event"`
		Lock  string         `json:"lock"`
		Pins  []build.Change `json:"pins"`
	}{"result", lock, changes})
}
