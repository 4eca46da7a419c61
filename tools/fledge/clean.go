package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/tools/fledge/internal/store"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// cleanFlags are the flags of fledge clean.
type cleanFlags struct {
	common commonFlags
	show   showFlags
}

func newCleanCommand() *cobra.Command {
	f := &cleanFlags{}
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Removes what is kept between builds",
		Long: `Removes what builds keep: the blobs of images, agents, packed layers and the results of solves. The next build fetches, solves
and packs anew, and makes the same bytes. A folder that fledge did not make is left alone, and so is one that a build uses.`,
		Example: `  fledge clean
  fledge clean --cache /var/cache/fledge`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.show.tell(cmd, f.clean) },
	}
	f.common.register(cmd.Flags())
	f.show.register(cmd.Flags())
	return cmd
}

func (f *cleanFlags) clean(u *ui.UI) error {
	dir, err := f.common.folder()
	if err != nil {
		return err
	}
	freed, err := store.Clean(dir)
	if err != nil {
		return err
	}
	u.Result([]string{fmt.Sprintf("%s: %s freed", dir, ui.Size(freed))}, struct {
		Event string `json:"event"`
		Cache string `json:"cache"`
		Freed int64  `json:"freed"`
	}{"result", dir, freed})
	return nil
}
