// Command agentfetch pins the agent (Kestrel) in a MODULE.bazel: it finds a release, fetches its files, verifies
// them and writes version and checksums into the fledge.agent tag.
//
//	bazel run @fledge//tools/agentfetch -- --version latest
//	bazel run @fledge//tools/agentfetch -- --url https://example.com/kestrel
//	bazel run @fledge//tools/agentfetch -- --check
//
// The file is MODULE.bazel of the workspace that `bazel run` runs in, or that of --module-file.
//
// Environment: GITHUB_TOKEN, sent to api.github.com or the host of --api-url alone; https_proxy, http_proxy, no_proxy.
//
// Exit codes: 0 success, 1 an error, 2 a wrong command line, 3 with --check when there is a newer release.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/cli"
)

const exitNewer = 3

// errNewer says that --check found a newer release.
var errNewer = errors.New("there is a newer release")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t := &tool{
		client: &agent.Client{
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true},
			Pauses:    agent.DefaultPauses,
			Stall:     agent.DefaultStall,
		},
		token:     os.Getenv("GITHUB_TOKEN"),
		workspace: os.Getenv("BUILD_WORKSPACE_DIRECTORY"),
		dir:       os.Getenv("BUILD_WORKING_DIRECTORY"),
		out:       os.Stdout,
		progress:  newProgress(os.Stderr),
	}
	err := t.run(ctx, os.Args[1:])
	stop()
	t.progress.clear()
	os.Exit(report(os.Stderr, err))
}

// report tells an error and gives the exit code.
func report(w io.Writer, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return cli.ExitOK
	case errors.Is(err, errNewer):
		return exitNewer // what is newer is on standard output
	}
	fmt.Fprintf(w, "agentfetch: %v\n", err)
	return cli.ExitCode(err)
}
