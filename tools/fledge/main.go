// Command fledge builds bootable microVM images without Bazel, from a fledge.toml or a Dockerfile, and tells what is in
// images. It has the same parts as the rules, and makes the same bytes.
//
// Exit codes: 0 success, 1 an input is bad or something failed, 2 the command line is wrong; fledge diff has 3 for images that
// differ.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/solve"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup has it so
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second interrupt ends what does not heed the first
	err := newRoot().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fledge: "+solve.PrintableLines(err.Error()))
	}
	os.Exit(cli.ExitCode(err))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "fledge",
		Short: "Builds bootable microVM images from container images, Dockerfiles and your own programs",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("no command %q; fledge --help lists them", args[0])
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newBuildCommand(), newUpdateCommand(), newCleanCommand(), newInspectCommand(), newDiffCommand(), newMigrateCommand(), newBootCommand(), newVersionCommand(), newManCommand())
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic(err) // it was just made
	}
	help.Args = func(_ *cobra.Command, args []string) error { // cobra's shows help of another command than the one asked for
		if found, _, err := root.Find(args); err != nil || found == root && len(args) > 0 {
			return cli.Usagef("no command %q; fledge --help lists them", args[0])
		}
		return nil
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usagef("%v", err) })
	return root
}
