// Command mkdist makes the fledge command that people download: the executable with the programs that it brings along
// behind it (package payload).
//
//	mkdist --executable fledge --init-amd64 … --init-arm64 … --guest-amd64 … --guest-arm64 …
//	  --fill-amd64 … --fill-arm64 … --go-sum go.sum --out fledge
//
// Exit codes: 0 success, 1 a file cannot be read or written, 2 the command line is wrong.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

func main() {
	err := run(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "mkdist: %v\n", err)
	}
	os.Exit(cli.ExitCode(err))
}

func run(args []string) error {
	source := payload.Source{Programs: map[string]string{}}
	flags := flag.NewFlagSet("mkdist", flag.ContinueOnError)
	executable := flags.String("executable", "", "the command without a payload, a `file`")
	programs := map[string]*string{}
	for _, name := range payload.Programs {
		programs[name] = flags.String(name, "", "static `program` for Linux")
	}
	flags.StringVar(&source.GoSum, "go-sum", "", "`go.sum` of the command's module")
	out := flags.String("out", "", "the `file` to write")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return cli.Usagef("%v", err)
	}
	if flags.NArg() > 0 {
		return cli.Usagef("%q is no flag: all files have one", flags.Arg(0))
	}
	var missing error
	flags.VisitAll(func(f *flag.Flag) {
		if f.Value.String() == "" && missing == nil {
			missing = cli.Usagef("--%s is missing", f.Name)
		}
	})
	if missing != nil {
		return missing
	}
	for name, file := range programs {
		source.Programs[name] = *file
	}
	return cli.WriteFileMode(*out, 0o755, func(f *os.File) error {
		in, err := os.Open(*executable)
		if err != nil {
			return err
		}
		defer in.Close()
		size, err := io.Copy(f, in)
		if err != nil {
			return err
		}
		return payload.Write(f, size, source)
	})
}
