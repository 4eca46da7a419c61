//go:build linux

// Command agent is a stand-in for Kestrel, the agent of the Volant runtime: it does what the boot contract asks for, so
// that images can be booted and tested without the runtime. It offers no API, and nothing of the runtime needs it.
//
// As PID 1, started as "/bin/kestrel stage2" in the root file system, or as "/bin/kestrel" in an initramfs, it mounts what is missing of /proc, /sys, /dev,
// /run and /tmp, sets up the network, starts the workload that the manifest names, reaps orphans, and powers the
// machine off when the workload ends, or when it gets SIGTERM or ctrl-alt-del.
//
// The manifest is the value of volant.manifest= on the kernel command line (base64url of the gzip of manifest.json) or,
// without that, the file /etc/fledge/manifest.json. The network is the one that QEMU's user networking serves: eth0 has
// 10.0.2.15/24, the gateway is 10.0.2.2.
package main

import (
	"fmt"
	"log"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("kestrel: ")
	log.SetOutput(os.Stdout)
	switch {
	case len(os.Args) == 1:
		log.Print("initramfs")
	case len(os.Args) == 2 && os.Args[1] == "stage2":
		log.Print("stage2")
	default:
		fmt.Fprintln(os.Stderr, "usage: kestrel [stage2]")
		os.Exit(2)
	}
	if err := run(); err != nil {
		log.Printf("error: %v", err)
	}
	if os.Getpid() == 1 {
		powerOff()
	}
}

// run starts the workload and returns when it has ended.
func run() error {
	mountMissing()
	m, err := findManifest("/proc/cmdline", "/etc/fledge/manifest.json")
	if err != nil {
		return err
	}
	if err := setUpNetwork(m.Network.Mode); err != nil {
		log.Printf("warning: network: %v", err)
	}
	workload, err := command(m)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT)
	// Without this, ctrl-alt-del resets the machine; with it, PID 1 gets SIGINT.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		log.Printf("warning: ctrl-alt-del: %v", err)
	}
	if err := workload.Start(); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	log.Printf("workload started pid %d: %q", workload.Process.Pid, workload.Args)
	go announce(m.Workload.BaseURL)
	supervise(workload.Process.Pid, signals)
	return nil
}

func powerOff() {
	unix.Sync()
	log.Print("power off")
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		log.Printf("error: power off: %v", err)
	}
	select {} // the kernel panics when PID 1 ends
}
