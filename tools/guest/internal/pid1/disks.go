//go:build linux

package pid1

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// disks are the devices of the machine's disks; "" for one that is not there.
type disks struct{ input, output, secrets, scratch string }

// patience is how long disks may take to appear: the kernel finds them while it starts processes.
const patience = 10 * time.Second

// findDisks waits until all disks that the job needs are there.
func findDisks() (disks, error) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		d := lookAtDisks()
		missing := d.missing()
		if missing == "" {
			return d, nil
		}
		if time.Now().After(end) {
			why := "the host gave it none"
			if d == (disks{}) {
				why = "the kernel needs drivers for virtio disks, built in or as modules"
			}
			return d, fmt.Errorf("the build machine has no %s: %s", missing, why)
		}
	}
}

// missing names a disk that the job needs and that is not there.
func (d disks) missing() string {
	switch {
	case d.output == "":
		return "output disk"
	case d.input == "":
		return "input disk"
	}
	job, err := readJob(d.input)
	switch {
	case err != nil: // told later
	case len(job.Secrets)+len(job.SSH) > 0 && d.secrets == "":
		return "secrets disk"
	case job.Scratch == wire.ScratchSwap && d.scratch == "":
		return "scratch disk"
	}
	return ""
}

func lookAtDisks() (d disks) {
	names, _ := filepath.Glob("/sys/block/*")
	for _, n := range names {
		dev := "/dev/" + filepath.Base(n)
		switch magic(dev) {
		case wire.OutputMagic:
			d.output = dev
		case wire.SecretsMagic:
			d.secrets = dev
		case wire.ScratchMagic:
			d.scratch = dev
		case wire.JobFile:
			d.input = dev
		}
	}
	return d
}

// magic tells what a device is by its content: its magic number, or JobFile for an archive that starts with it.
func magic(dev string) string {
	f, err := os.Open(dev)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, wire.HeaderOffset+wire.MagicSize)
	n, _ := f.ReadAt(b, 0)
	if strings.HasPrefix(string(b), wire.JobFile+"\x00") {
		return wire.JobFile
	}
	if n < len(b) {
		return ""
	}
	return string(b[wire.HeaderOffset:])
}

// readJob reads the first file of the input disk.
func readJob(dev string) (wire.Job, error) {
	f, err := os.Open(dev)
	if err != nil {
		return wire.Job{}, err
	}
	defer f.Close()
	r := tar.NewReader(f)
	h, err := r.Next()
	if err != nil || h.Name != wire.JobFile || h.Size > wire.MaxJob {
		return wire.Job{}, errors.New("input disk: it does not start with a job")
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return wire.Job{}, fmt.Errorf("input disk: %w", err)
	}
	return wire.DecodeJob(text)
}
