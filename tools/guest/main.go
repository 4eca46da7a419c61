//go:build linux

// Command guest is the guest half of a solve: it turns a Dockerfile into an image with BuildKit.
//
// As /init of the build machine it is PID 1 (package pid1), which finds the disks of package wire and runs this same
// program as its child:
//
//	guest -input DISK -output DISK [-secrets DISK] (-embedded DIR | -addr ADDRESS [TLS options])
//
// The disks may be files. With -embedded it runs the BuildKit inside it, which needs root; with -addr it asks a
// buildkitd, as buildctl does. Progress goes to standard output, one event a line. The result is on the output disk, a
// failed solve's too; only if nothing could be written there the exit code is not 0.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"

	"github.com/fledge-build/fledge/tools/guest/internal/job"
	_ "github.com/fledge-build/fledge/tools/guest/internal/pid1"
	_ "github.com/fledge-build/fledge/tools/guest/internal/step"
)

func main() {
	logrus.SetOutput(io.Discard) // BuildKit's remarks on its own work; package buildkit listens to those that matter
	var o job.Options
	flag.StringVar(&o.Input, "input", "", "input disk")
	flag.StringVar(&o.Output, "output", "", "output disk")
	flag.StringVar(&o.Secrets, "secrets", "", "secrets disk, if the job has secrets")
	flag.StringVar(&o.Embedded, "embedded", "", "run BuildKit inside this program, in this empty folder")
	flag.StringVar(&o.Times, "times", "", "times of the first process of the build machine, JSON")
	flag.StringVar(&o.Daemon.Address, "addr", "", "buildkitd: unix://, tcp://, docker-container://, podman-container:// or ssh://")
	flag.StringVar(&o.Daemon.CA, "tls-ca", "", "file of the certificates that the certificate of a buildkitd behind tcp:// is checked with")
	flag.StringVar(&o.Daemon.Cert, "tls-cert", "", "file of the certificate for a buildkitd that asks for one")
	flag.StringVar(&o.Daemon.Key, "tls-key", "", "file of that certificate's key")
	flag.StringVar(&o.Daemon.ServerName, "tls-server-name", "", "name in the buildkitd's certificate; by default the host of -addr")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := job.Run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
