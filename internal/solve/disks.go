package solve

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// disks are the files that the machine has as disks.
type disks struct {
	dir                             string
	input, secrets, output, scratch string // "" for none
	nonce                           wire.Nonce
}

// sector is what a disk's size is a multiple of, in bytes.
const sector = 4096

// make makes all disks for a job, and says in it what the guest finds.
func (d *disks) make(ctx context.Context, o *task) error {
	scratch := int64(o.Machine.ScratchMB) << 20
	if o.Program != nil {
		scratch = 0
	}
	if scratch > 0 {
		o.Job.Scratch = wire.ScratchSwap
	}
	if err := d.makeInput(ctx, o); err != nil {
		return err
	}
	if len(o.Job.Secrets)+len(o.Job.SSH) > 0 {
		if err := d.makeSecrets(o.Secrets); err != nil {
			return err
		}
	}
	if err := d.makeOutput(int64(o.Machine.OutputMB) << 20); err != nil {
		return err
	}
	if scratch > 0 {
		return d.makeScratch(scratch)
	}
	return nil
}

func (d *disks) makeInput(ctx context.Context, o *task) error {
	d.input = filepath.Join(d.dir, "input")
	return create(d.input, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		if err := writeInput(ctx, w, o); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return f.Truncate((info.Size() + sector - 1) / sector * sector)
	})
}

func (d *disks) makeSecrets(s wire.Secrets) error {
	b, err := s.Encode()
	if err != nil {
		return err
	}
	d.secrets = filepath.Join(d.dir, "secrets")
	return create(d.secrets, func(f *os.File) error {
		_, err := f.Write(b)
		return err
	})
}

func (d *disks) makeOutput(size int64) error {
	if _, err := rand.Read(d.nonce[:]); err != nil {
		return err
	}
	d.output = filepath.Join(d.dir, "output")
	return create(d.output, func(f *os.File) error {
		if err := f.Truncate(wire.PayloadOffset + size); err != nil {
			return err
		}
		return wire.FormatOutput(f, d.nonce)
	})
}

func (d *disks) makeScratch(size int64) error {
	d.scratch = filepath.Join(d.dir, "scratch")
	return create(d.scratch, func(f *os.File) error {
		if err := f.Truncate(size); err != nil {
			return err
		}
		_, err := f.WriteAt([]byte(wire.ScratchMagic), wire.HeaderOffset)
		return err
	})
}

// create makes a file that its owner alone can read.
func create(file string, write func(*os.File) error) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s disk: %w", filepath.Base(file), err)
	}
	return nil
}

// list is what the machine gets.
func (d *disks) list() []vmm.Disk {
	list := []vmm.Disk{{File: d.input}, {File: d.output, Writable: true}}
	if d.secrets != "" {
		list = append(list, vmm.Disk{File: d.secrets})
	}
	if d.scratch != "" {
		list = append(list, vmm.Disk{File: d.scratch, Writable: true})
	}
	return list
}
