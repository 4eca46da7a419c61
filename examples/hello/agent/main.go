// Command agent is a stand-in for Kestrel, the agent of the Volant runtime. It does what the boot contract asks for, so
// that images can be boot-tested without the runtime: as PID 1, started as "/bin/kestrel stage2", it sets up the network,
// starts the workload that the manifest on the kernel command line names, and powers the machine off when that ends.
//
// The manifest is the parameter volant.manifest=, base64url of the gzip of manifest.json. The network is the one that
// QEMU's user networking serves: eth0 is 10.0.2.15/24.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("kestrel: ")
	log.SetOutput(os.Stdout)
	if len(os.Args) != 2 || os.Args[1] != "stage2" {
		fmt.Fprintln(os.Stderr, "usage: kestrel stage2")
		os.Exit(2)
	}
	log.Print("stage2")
	if err := run(); err != nil {
		log.Printf("error: %v", err)
	}
	if os.Getpid() == 1 {
		powerOff()
	}
}

// run starts the workload and returns when it has ended.
func run() error {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	m, err := manifestFrom(string(cmdline))
	if err != nil {
		return err
	}
	if err := setUpNetwork(5 * time.Second); err != nil {
		log.Printf("warning: no network: %v", err)
	}
	workload, err := m.command()
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 16)
	signal.Notify(ended, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT)
	if err := workload.Start(); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	log.Printf("workload %q started, pid %d", workload.Args[0], workload.Process.Pid)
	return watch(workload, ended)
}

// watch reaps what ends, as PID 1 must, until the workload has. A request to stop is passed on to it.
func watch(workload *exec.Cmd, signals <-chan os.Signal) error {
	for s := range signals {
		if s != unix.SIGCHLD {
			log.Printf("%v: stopping the workload", s)
			if err := workload.Process.Signal(unix.SIGTERM); err != nil {
				return err
			}
			continue
		}
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if pid == workload.Process.Pid {
				log.Printf("workload ended with status %d, signal %d", status.ExitStatus(), status.Signal())
				return nil
			}
			if pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}

func powerOff() {
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		log.Printf("error: power off: %v", err)
	}
	select {}
}
