package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/fledge-build/fledge/internal/cli"
)

// newManCommand is for those who package fledge, and not in the list of commands.
func newManCommand() *cobra.Command {
	var dir, reference string
	cmd := &cobra.Command{
		Use:    "man",
		Short:  "Write the man pages of all commands, or their reference as Markdown",
		Hidden: true,
		Example: `  fledge man --dir /usr/local/share/man/man1
  fledge man --reference docs/fledge-cli.md`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (dir == "") == (reference == "") {
				return cli.Usagef("give --dir or --reference")
			}
			if reference != "" {
				return cli.WriteBuffered(reference, func(w io.Writer) error { return writeReference(w, newRoot()) })
			}
			if err := os.MkdirAll(dir, 0o777); err != nil {
				return err
			}
			return writeManPages(dir, newRoot())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`folder` for the man pages")
	cmd.Flags().StringVar(&reference, "reference", "", "Markdown `file` for the reference")
	return cmd
}

// documented lists all commands, in the order of --help.
func documented(root *cobra.Command) []*cobra.Command {
	root.InitDefaultCompletionCmd()
	list := []*cobra.Command{root}
	for i := 0; i < len(list); i++ {
		list[i].DisableAutoGenTag = true // it has the date
		for _, sub := range list[i].Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" {
				list = append(list, sub)
			}
		}
	}
	return list
}

// manDate is the date in a page's title line: a page is the same whenever it is made.
var manDate = regexp.MustCompile(`(?m)^(\.TH "[^"]*" "[^"]*") "[^"]*"`)

func writeManPages(dir string, root *cobra.Command) error {
	for _, cmd := range documented(root) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "fledge " + version, Manual: "Fledge"}
		var page bytes.Buffer
		if err := doc.GenMan(cmd, header, &page); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		err := cli.WriteBuffered(filepath.Join(dir, name+".1"), func(w io.Writer) error {
			_, err := w.Write(manDate.ReplaceAll(page.Bytes(), []byte(`$1 ""`)))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const referenceHead = `# The fledge command

All commands, as ` + "`fledge COMMAND --help`" + ` tells of them. This page is generated: after a change of a command run
` + "`go run ./tools/fledge man --reference docs/fledge-cli.md`" + `.

`

// seeAlso are links to the pages of other commands, which are all on this one.
var seeAlso = regexp.MustCompile(`(?s)### SEE ALSO\n.*`)

func writeReference(w io.Writer, root *cobra.Command) error {
	var all strings.Builder
	all.WriteString(referenceHead)
	for _, cmd := range documented(root) {
		if cmd.HasParent() && cmd.Parent().Name() == "completion" {
			continue // four shells, each much the same
		}
		var section strings.Builder
		if err := doc.GenMarkdown(cmd, &section); err != nil {
			return fmt.Errorf("%s: %w", cmd.CommandPath(), err)
		}
		all.WriteString(strings.TrimRight(seeAlso.ReplaceAllString(section.String(), ""), "\n") + "\n\n")
	}
	_, err := io.WriteString(w, strings.TrimRight(all.String(), "\n")+"\n")
	return err
}
