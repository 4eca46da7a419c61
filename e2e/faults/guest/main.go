//go:build linux

// Command guest runs Fledge's programs in a machine whose clock it moves, as /init: between runs and while they work. It prints
// the digests of what they make.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/guestos"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("guest: error:", err)
	}
	guestos.PowerOff()
}

func run() error {
	if err := guestos.MountKernel(); err != nil {
		return err
	}
	os.Setenv("PATH", "/")
	os.Setenv("TMPDIR", "/") // all is memory
	for _, clock := range []struct {
		name  string
		year  int
		jumps bool
		cold  bool // nothing is kept of the build before
	}{{"ahead", 2099, false, true}, {"back", 1971, false, false}, {"jumping", 2024, true, true}} {
		set(clock.year)
		if clock.cold {
			os.RemoveAll("/store")
		}
		stop := make(chan struct{})
		var jumping sync.WaitGroup
		if clock.jumps {
			jumping.Go(func() { jump(stop) })
		}
		err := work(clock.name)
		close(stop)
		jumping.Wait() // for what it prints
		if err != nil {
			return fmt.Errorf("%s: %w", clock.name, err)
		}
	}
	return nil
}

func set(year int) {
	tv := unix.NsecToTimeval(time.Date(year, 3, 4, 5, 6, 7, 0, time.UTC).UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		fmt.Println("guest: error: the clock:", err)
	}
}

// jump moves the clock years ahead and back.
func jump(stop chan struct{}) {
	jumps := 0
	for pause := time.NewTicker(20 * time.Millisecond); ; jumps++ {
		select {
		case <-stop:
			fmt.Println("jumps:", jumps)
			return
		case <-pause.C:
			set([]int{1971, 2090, 2024, 2037}[jumps%4])
		}
	}
}

// work runs the programs and prints the digests.
func work(clock string) error {
	const out = "/out"
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"/packer", "pack", "--level", "3", "--layer", "/layer", "--out", out + "/layer.pack"},
		{"/packer", "rootfs", "--level", "3", "--pack", out + "/layer.pack", "--out", out + "/layer.img"},
		{"/fledge", "build", "--config", "/fledge.toml", "--arch", "amd64", "--cache", "/store", "--output", out + "/app"},
	} {
		if said, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, said)
		}
		fmt.Println("clock", clock+":", args[:2], "is done")
	}
	list, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Printf("made: %s: %s %x\n", clock, e.Name(), sha256.Sum256(data))
	}
	return nil
}
