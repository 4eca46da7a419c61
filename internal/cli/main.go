package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Main runs what a program does, until it is done or SIGINT or SIGTERM asks it to stop, prints its error behind the prefix, and
// ends the process with the error's exit code. Help that was asked for is no error.
func Main(prefix string, run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(ExitOK)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", prefix, err)
	}
	os.Exit(ExitCode(err))
}
