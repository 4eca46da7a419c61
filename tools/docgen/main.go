// Docgen writes the reference page of a Starlark file: what Bazel's starlark_doc_extract read from its docstrings, as
// Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/cli"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
	}
	os.Exit(cli.ExitCode(err))
}

func run(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("docgen", flag.ContinueOnError)
	title := fs.String("title", "", "first heading of the page")
	if err := fs.Parse(args); err != nil {
		return cli.Usagef("%v", err)
	}
	if *title == "" || fs.NArg() != 1 {
		return cli.Usagef("usage: docgen --title TITLE FILE.binaryproto >PAGE.md")
	}
	b, err := os.ReadFile(fs.Arg(0))
	if err != nil {
		return err
	}
	m, err := decode(b)
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", fs.Arg(0), err)
	}
	_, err = stdout.Write(render(m, *title))
	return err
}
