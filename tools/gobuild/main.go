// Command gobuild builds a program of a Go module from the files that a Bazel action declares, with an SDK that is a
// zip file. It needs no network, no installed Go and no shell, and what it makes depends on these files alone.
//
// Exit codes: 0 success, 1 a bad input or a program that does not compile, 2 a wrong command line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/tempfile"
)

func main() {
	cli.Main("gobuild", func(ctx context.Context) error { return run(ctx, os.Args[1:]) })
}

// build is the command line.
type build struct {
	sdk     string // zip of an SDK, as the module proxy gives golang.org/toolchain
	std     string // zip of compiled packages to begin with, or ""
	makeStd bool   // make such a zip
	sources sources
	pkg     string // package to build, relative to the module
	os      string // GOOS
	arch    string // GOARCH
	jobs    int    // compilers at the same time
	out     string // the program, or the zip
}

func parse(args []string) (*build, error) {
	b := &build{}
	flags := flag.NewFlagSet("gobuild", flag.ContinueOnError)
	flags.StringVar(&b.sdk, "sdk", "", "the Go SDK: `zip` of the module golang.org/toolchain")
	flags.StringVar(&b.std, "std", "", "`zip` that --make-std made, with the same SDK and for the same system; only saves time")
	flags.BoolVar(&b.makeStd, "make-std", false, "compile the standard library, instead of a program")
	flags.StringVar(&b.sources.goMod, "go-mod", "", "the module's `go.mod`")
	flags.StringVar(&b.sources.modules, "modules", "", "`vendor/modules.txt` of the packages that the module needs")
	flags.StringVar(&b.sources.parentGoMod, "parent-go-mod", "", "`go.mod` of the module around it, if any")
	flags.StringVar(&b.sources.list, "files", "", "`file` that lists all sources of the build, a path a line")
	flags.StringVar(&b.pkg, "package", ".", "the program's `package`, relative to the module")
	flags.StringVar(&b.os, "os", "", "the program's `GOOS`")
	flags.StringVar(&b.arch, "arch", "", "the program's `GOARCH`")
	flags.IntVar(&b.jobs, "jobs", 1, "compilers that run at the same time")
	flags.StringVar(&b.out, "out", "", "the program to write")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, cli.Usagef("%v", err)
	}
	needed := []string{"sdk", "os", "arch", "out"}
	if !b.makeStd {
		needed = append(needed, "go-mod", "modules", "files")
	}
	for _, name := range needed {
		if flags.Lookup(name).Value.String() == "" {
			return nil, cli.Usagef("--%s is missing", name)
		}
	}
	return b, nil
}

func run(ctx context.Context, args []string) (err error) {
	b, err := parse(args)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(b.out)
	if err != nil {
		return err
	}
	// Beside the output and not in /tmp, which may be memory: the compiler's cache gets half a gigabyte.
	folder, err := tempfile.MakeFolder(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Remove()) }()
	work := folder.Path
	if err := unpackSDK(b.sdk, filepath.Join(work, "sdk")); err != nil {
		return fmt.Errorf("%s: %w", b.sdk, err)
	}
	made := filepath.Join(work, "made")
	if b.makeStd {
		err = b.standard(ctx, work, made)
	} else {
		err = b.program(ctx, work, made)
	}
	if err != nil {
		return err
	}
	return os.Rename(made, out)
}

// program builds the program.
func (b *build) program(ctx context.Context, work, out string) error {
	if b.std != "" {
		if err := unpackCache(b.std, filepath.Join(work, "cache")); err != nil {
			return fmt.Errorf("%s: %w", b.std, err)
		}
	}
	module := filepath.Join(work, "module")
	if err := b.sources.layOut(module); err != nil {
		return err
	}
	if err := b.compile(ctx, work, module, "-mod=vendor", "-ldflags=-s -w -buildid=", "-o", out, b.pkg); err != nil {
		return fmt.Errorf("go build %s in the module of %s: %w", b.pkg, b.sources.goMod, err)
	}
	return nil
}

// standard compiles what programs need of the standard library.
func (b *build) standard(ctx context.Context, work, out string) error {
	// Outside of a module, so that no go.mod counts.
	dir := filepath.Join(work, "nothing")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := b.compile(ctx, work, dir, standardPackages...); err != nil {
		return fmt.Errorf("go build of the standard library: %w", err)
	}
	return packCache(filepath.Join(work, "cache"), out)
}

// compile runs go build in a folder, with the SDK in work. All that it writes is in work.
func (b *build) compile(ctx context.Context, work, dir string, args ...string) error {
	home, sdk := filepath.Join(work, "home"), filepath.Join(work, "sdk")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	args = append([]string{"build", "-trimpath", "-buildvcs=false", "-p=" + strconv.Itoa(b.jobs)}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(sdk, "bin", "go"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stderr, os.Stderr
	cmd.Env = []string{
		"CGO_ENABLED=0", "GOOS=" + b.os, "GOARCH=" + b.arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOROOT=" + sdk, "GOCACHE=" + filepath.Join(work, "cache"), "GOPATH=" + filepath.Join(work, "path"),
		"HOME=" + home, "TMPDIR=" + home,
		"GOENV=off", "GO111MODULE=on", "GOWORK=off", "GOTOOLCHAIN=local", "GOPROXY=off",
		"GODEBUG=goindex=0", // the index of a module has the paths of its folder
	}
	// The go command hands an interrupt on to its compilers.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}
