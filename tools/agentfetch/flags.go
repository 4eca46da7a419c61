package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/cli"
)

// options are the command line's flags.
type options struct {
	version, url, repository string
	name, file, api          string
	archs                    []string
	check                    bool
}

// parse reads the command line; workspace is the folder of the default MODULE.bazel, "" outside of `bazel run`.
func parse(args []string, workspace string, help io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("agentfetch", flag.ContinueOnError)
	fs.StringVar(&o.version, "version", "", "`tag` of the release to pin, or latest")
	fs.StringVar(&o.url, "url", "", "pin the file at this `URL`; {arch} in it stands for the architecture")
	fs.BoolVar(&o.check, "check", false, "write nothing; exit code 3 when there is a newer release than the pinned one")
	fs.StringVar(&o.name, "name", "", "`name` of the fledge.agent tag; default the only one, else kestrel")
	fs.StringVar(&o.repository, "repository", "", "`URL` of the repository of releases; default the tag's, else "+
		agent.Repository)
	archs := fs.String("arch", "", "`architectures` to pin, with commas: amd64, arm64; "+
		"default amd64, and arm64 where the release has it or the URL has {arch}")
	fs.StringVar(&o.file, "module-file", "", "`file` to edit; default MODULE.bazel of the workspace")
	fs.StringVar(&o.api, "api-url", "", "root `URL` of GitHub's API; default that of the repository's server")
	fs.SetOutput(io.Discard) // main prints the error
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(help)
		fs.Usage()
		return nil, err
	case err != nil:
		return nil, cli.Usagef("%v", err)
	case fs.NArg() > 0:
		return nil, cli.Usagef("unexpected argument %q", fs.Arg(0))
	}
	if *archs != "" {
		o.archs = strings.Split(*archs, ",")
	}
	if o.file == "" && workspace != "" {
		o.file = filepath.Join(workspace, "MODULE.bazel")
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *options) validate() error {
	if n := count(o.version != "", o.url != "", o.check); n != 1 {
		return cli.Usagef("give one of --version, --url and --check")
	}
	if o.file == "" {
		return cli.Usagef("no MODULE.bazel: run this with bazel run, or give --module-file")
	}
	if o.url != "" && (o.repository != "" || o.api != "") {
		return cli.Usagef("--repository and --api-url are for releases, not for --url")
	}
	if o.check && o.archs != nil {
		return cli.Usagef("--check fetches no files, so it takes no --arch")
	}
	for i, arch := range o.archs {
		if !slices.Contains(agent.Architectures, arch) {
			return cli.Usagef("architecture %q; there are %s", arch, strings.Join(agent.Architectures, " and "))
		}
		if slices.Contains(o.archs[:i], arch) {
			return cli.Usagef("architecture %s twice", arch)
		}
	}
	return nil
}

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// choose finds the tag to work on among the names that the file has.
func (o *options) choose(names []string) (string, error) {
	switch {
	case o.name != "":
		return o.name, nil
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "kestrel", nil
	}
	return "", fmt.Errorf("%s: has several agents; choose one with --name: %s", o.file, strings.Join(names, ", "))
}
