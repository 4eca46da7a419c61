// Command boot boots an image in a virtual machine and looks for signs of life: texts on the console and an HTTP
// answer. Boot tests run it with a JSON file; by hand it takes the same as flags.
//
//	boot --kernel bzImage --initramfs web.initramfs.cpio.gz --rootfs web.img --expect "ready" --http-port 80 --verbose
//
// The file is that of --spec, or of the environment's FLEDGE_BOOT_SPEC, which also shows the console. Flags overrule
// it. A machine of which nothing is expected has to power itself off.
//
// Exit codes: 0 everything was seen, 1 it was not, 2 the command line or the file is wrong.
package main

import (
	"context"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/cli"
)

func main() {
	cli.Main("boot: FAIL", func(ctx context.Context) error {
		return run(ctx, os.Args[1:], os.Getenv("FLEDGE_BOOT_SPEC"), os.Stdout, os.Stderr)
	})
}

// run boots what args and the file at specFile describe. The console goes to stdout, all else to stderr.
func run(ctx context.Context, args []string, specFile string, stdout, stderr io.Writer) error {
	s, err := parse(args, specFile, stderr)
	if err != nil {
		return err
	}
	wants, err := s.wants()
	if err != nil {
		return err
	}
	var stream io.Writer
	if s.verbose {
		stream = stdout
	}
	t := &trial{spec: s, console: newConsole(stream, wants), log: stderr}
	return t.run(ctx)
}
