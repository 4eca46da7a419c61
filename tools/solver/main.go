// Command solver builds an OCI image layout from a Dockerfile in a virtual machine that has BuildKit in it: no root, no
// daemon, and no network unless asked for.
//
//	solver --kernel bzImage --initramfs guest.cpio.gz --spec files.jsonl --images images.jsonl --out app
//
// The files of the build context and the Dockerfile come from --spec: one JSON object a line, {"src": "app/main.go",
// "dest": "/context/main.go"}, with "executable": true or "mode": "0755" for other modes than 0644; the Dockerfile goes
// to /dockerfile/NAME. FROM finds the images of --images alone.
//
// Where no machine can run, a buildkitd does the same work:
//
//	solver --mode daemon --addr unix:///run/buildkit/buildkitd.sock --guest guest --spec files.jsonl --out app
//
// Exit codes: 0 the image is there, 1 the solve failed or an input is bad, 2 the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/solve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprint(os.Stderr, message(err))
	}
	os.Exit(cli.ExitCode(err))
}

// message is what is said of an error.
func message(err error) string {
	return "solver: " + solve.PrintableLines(strings.TrimSuffix(err.Error(), "\n")) + "\n"
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	f, err := parse(args, stderr)
	if err != nil {
		return err
	}
	o, err := f.options(stderr)
	if err != nil {
		return err
	}
	res, err := solve.Solve(ctx, f.out, o)
	f.done()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted, and %s is not made: %w", f.out, err)
	}
	if err != nil {
		return withHint(err)
	}
	if f.progress == "quiet" {
		return nil
	}
	fmt.Fprintf(stderr, "%s: %s, %d bytes", f.out, res.Digest, res.Payload.Size)
	if o.Program == nil {
		fmt.Fprintf(stderr, "; the machine ran %.1f s, %d MiB of memory were never used", res.Times.Synced, res.Memory.MinAvailable>>10)
	}
	fmt.Fprintln(stderr)
	return nil
}
