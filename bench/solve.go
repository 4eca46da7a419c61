package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/vmm/host"
)

// solveSteps is how many RUN steps the Dockerfile has.
const solveSteps = 10

// solved are the times of one solve.
type solved struct {
	wall            time.Duration
	buildkit, solve float64 // with a machine: seconds since its start until BuildKit is ready, and until it has solved
}

// measureSolves compares a solve in a machine with the same one in buildkitd and runc on the host. It needs root, runc and
// busybox, which is the program that the steps run.
func measureSolves(o options, out, progress io.Writer) (err error) {
	d, err := os.MkdirTemp("", "fledge-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d)) }()
	k, err := newSolveKit(folder(d))
	if err != nil {
		return err
	}
	stop, err := k.startDaemon()
	if err != nil {
		return err
	}
	defer stop()
	var machine, daemon []solved
	for round := range o.rounds {
		for _, s := range []struct {
			name string
			args []string
			list *[]solved
		}{
			{"machine", []string{"--kernel", k.kernel, "--initramfs", k.initramfs, "--qemu", os.Getenv("FLEDGE_QEMU"), "--vmm", "qemu"}, &machine},
			{"buildkitd", []string{"--mode", "daemon", "--addr", k.address, "--guest", k.guest}, &daemon},
		} {
			got, err := k.solve(round, s.args)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			*s.list = append(*s.list, got)
			fmt.Fprintf(progress, "round %d: %-40s %8.2f s\n", round+1, s.name, got.wall.Seconds())
		}
	}
	writeSolves(out, machine, daemon)
	return nil
}

// solveKit is what a solve needs.
type solveKit struct {
	dir                              folder
	solver, guest, buildkitd, kernel string
	initramfs, spec, address         string
}

func newSolveKit(d folder) (k solveKit, err error) {
	k = solveKit{dir: d, kernel: os.Getenv("FLEDGE_KERNEL_BZIMAGE"), initramfs: d.file("guest.cpio.gz")}
	modules := os.Getenv("FLEDGE_KERNEL_MODULES")
	busybox, err := exec.LookPath("busybox")
	if err != nil || k.kernel == "" || modules == "" {
		return k, errors.Join(err, errors.New("needs busybox, and a kernel: ./bazelw --fledge-setup prints one"))
	}
	packer := ""
	for _, p := range []struct {
		module, pkg string
		program     *string
	}{
		{".", "./tools/solver", &k.solver}, {".", "./tools/packer", &packer}, {"tools/guest", ".", &k.guest},
		{"e2e/buildkitd", "github.com/moby/buildkit/cmd/buildkitd", &k.buildkitd},
	} {
		*p.program = d.file("program-%s", filepath.Base(p.module+p.pkg))
		if err := toolrun.Build(p.module, p.pkg, *p.program); err != nil {
			return k, err
		}
	}
	if out, err := exec.Command(packer, "guest-initramfs", "--guest", k.guest, "--kernel-modules", modules, "--out", k.initramfs).CombinedOutput(); err != nil {
		return k, fmt.Errorf("packer guest-initramfs: %w\n%s", err, out)
	}
	text := "FROM scratch\nCOPY --chmod=0755 busybox /bin/sh\nARG ROUND\n"
	for i := range solveSteps {
		text += fmt.Sprintf("RUN echo $ROUND >/step%d\n", i)
	}
	dockerfile := d.file("Dockerfile")
	if err := os.WriteFile(dockerfile, []byte(text), 0o644); err != nil {
		return k, err
	}
	k.spec = d.file("spec")
	return k, os.WriteFile(k.spec, fmt.Appendf(nil, "{\"src\": %q, \"dest\": \"/dockerfile/Dockerfile\"}\n{\"src\": %q, \"dest\": \"/context/busybox\"}\n",
		dockerfile, busybox), 0o644)
}

// startDaemon starts a buildkitd in a mount namespace of its own.
func (k *solveKit) startDaemon() (stop func(), err error) {
	socket := k.dir.file("s")
	k.address = "unix://" + socket
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", k.buildkitd, "--root", k.dir.file("state"),
		"--otel-socket-path", k.dir.file("otel"), "--cdi-disabled", "--addr", k.address, "--containerd-worker=false",
		"--oci-worker-binary", "runc", "--oci-worker-snapshotter", "overlayfs")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		cmd.Wait()
	}
	for range 600 {
		if c, err := net.Dial("unix", socket); err == nil {
			return stop, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return nil, errors.New("buildkitd does not answer")
}

// solve solves once. What the round is called is in each step, so that buildkitd's cache has none of them.
func (k solveKit) solve(round int, args []string) (solved, error) {
	out := k.dir.file("out")
	if err := os.RemoveAll(out); err != nil {
		return solved{}, err
	}
	args = append([]string{"--spec", k.spec, "--out", out, "--progress", "plain", "--build-arg", fmt.Sprintf("ROUND=%d.%d", os.Getpid(), round)}, args...)
	r, err := toolrun.Run(k.solver, args...)
	if err != nil {
		return solved{}, err
	}
	if r.Code != 0 {
		return solved{}, fmt.Errorf("exit code %d\n%s", r.Code, r.Output)
	}
	s := solved{wall: r.Wall}
	for line := range strings.Lines(r.Output) {
		fmt.Sscanf(line, "machine: BuildKit ready after %f s", &s.buildkit)
		fmt.Sscanf(line, "machine: solved after %f s", &s.solve)
	}
	return s, nil
}

// writeSolves prints medians, and where the time of a machine goes.
func writeSolves(w io.Writer, machine, daemon []solved) {
	var walls, peers []time.Duration
	var boots, solves []time.Duration
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for i, m := range machine {
		walls, peers = append(walls, m.wall), append(peers, daemon[i].wall)
		boots, solves = append(boots, seconds(m.buildkit)), append(solves, seconds(m.solve-m.buildkit))
	}
	wall, peer := middle(walls), middle(peers)
	accelerator := "KVM, if the kernel runs with it"
	if host.NoKVM(runtime.GOARCH) != "" {
		accelerator = "TCG"
	}
	fmt.Fprintf(w, "%s, %d CPUs, %d rounds, QEMU (%s).\n\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), len(machine), accelerator)
	fmt.Fprintf(w, "### A Dockerfile of %d RUN steps\n\n| | s | ratio |\n|---|---|---|\n", solveSteps)
	fmt.Fprintf(w, "| in a machine | %.2f | %.2f |\n", wall.Seconds(), ratio(wall, peer))
	fmt.Fprintf(w, "| of that, until BuildKit is ready | %.2f | |\n", middle(boots).Seconds())
	fmt.Fprintf(w, "| of that, the solve | %.2f | %.2f |\n", middle(solves).Seconds(), ratio(middle(solves), peer))
	fmt.Fprintf(w, "| buildkitd and runc on the host | %.2f | 1 |\n\n", peer.Seconds())
}
