// Package solve is the host half of solving a Dockerfile in a virtual machine: it hands a job, the build context and the
// base images to a guest with BuildKit in it, watches it, and takes the image out, verified, as an OCI image layout. The
// other half is the module tools/guest; package wire is what both agree on.
package solve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/solve/cachedir"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/tempfile"
	"github.com/fledge-build/fledge/internal/vmm"
)

// Machine is what a solve runs in.
type Machine struct {
	Driver    vmm.Driver
	Kernel    string // file
	Initramfs string // file, made by packer guest-initramfs
	MemoryMB  int    // MiB
	CPUs      int
	ScratchMB int           // MiB of swap space beside the memory, a sparse file; 0 is none
	OutputMB  int           // MiB that the image may have, a sparse file
	Limit     time.Duration // how long it may run; 0 is no limit
}

// UsualMachine is the size of a machine for which nothing else is asked. It lacks driver, kernel and initramfs.
func UsualMachine() Machine {
	return Machine{MemoryMB: 2048, CPUs: 2, ScratchMB: 16 << 10, OutputMB: 16 << 10, Limit: time.Hour}
}

// Options is what to solve, where, and who is told.
type Options struct {
	Job     wire.Job // without Images, which Solve fills
	Images  []BaseImage
	Files   *mapping.Spec // below /context and /dockerfile
	Secrets wire.Secrets
	Machine Machine
	// Program, if there is one, solves in place of the machine, of which only OutputMB and Limit count then.
	Program *Program
	Cache   *Cache // of former solves; nil is none
	// Event is told of the guest's progress, line by line; may be nil.
	Event func(wire.Event)
}

// Error is the failure that the guest reports.
type Error struct{ wire.Failure }

func (e *Error) Error() string { return e.Failure.String() }

// Result is what is told of a solve that went well.
type Result struct {
	Digest string // of the image's manifest
	wire.Result
}

// Solve builds the image into the directory out, which must not exist or be empty. It appears there whole or not at all.
// A temporary directory beside it holds the disks meanwhile.
func Solve(ctx context.Context, out string, o Options) (_ Result, err error) {
	if err := checkOut(out); err != nil {
		return Result{}, err
	}
	folder, err := tempfile.MakeFolder(out)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, folder.Remove()) }()
	t := task{Options: o}
	defer t.close()
	if err := t.open(ctx); err != nil {
		return Result{}, err
	}
	d := disks{dir: folder.Path}
	if err := d.make(ctx, &t); err != nil {
		return Result{}, err
	}
	res, err := run(ctx, d, o)
	if err != nil {
		return Result{}, err
	}
	if res.Failure != nil {
		if err := t.saveCache(ctx, d.output, res); err != nil {
			return Result{}, err
		}
		return Result{}, &Error{*res.Failure}
	}
	temp := filepath.Join(folder.Path, "layout")
	digest, err := takeOut(ctx, d.output, *res.Payload, temp)
	if err != nil {
		return Result{}, err
	}
	if err := t.saveCache(ctx, d.output, res); err != nil {
		return Result{}, err
	}
	return Result{Digest: digest, Result: res}, moveTo(temp, out)
}

// task is a solve with what is open for it.
type task struct {
	Options
	images stores
	cache  *cachedir.Session // nil for none
}

// open opens the images and the cache, and says in the job what there is. The task must be closed, whatever the error.
func (t *task) open(ctx context.Context) (err error) {
	if t.images, err = openImages(ctx, t.Images, t.Job.Arch); err != nil {
		return err
	}
	t.Job.Images = t.images.names()
	return t.openCache(ctx)
}

func (t *task) close() {
	t.images.close()
	if t.cache != nil {
		t.cache.Close()
	}
}

// checkOut refuses what the image could not replace at the end.
func checkOut(out string) error {
	list, err := os.ReadDir(out)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the image goes to a new or an empty directory: %w", err)
	case len(list) > 0:
		return fmt.Errorf("the image goes to a new or an empty directory: %s is not empty", out)
	}
	return nil
}

// moveTo gives the directory its place; an empty one that is there makes room.
func moveTo(temp, out string) error {
	if err := os.Remove(out); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is in the way: %w", out, err)
	}
	return os.Rename(temp, out)
}
