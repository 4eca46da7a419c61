package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setUpNetwork brings up the loopback device and eth0, waiting for the latter until the limit.
func setUpNetwork(limit time.Duration) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if err := up(s, "lo"); err != nil {
		return err
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		err := address(s, "eth0", net.IPv4(10, 0, 2, 15), net.IPv4(255, 255, 255, 0))
		if err == nil {
			return up(s, "eth0")
		}
		if !errors.Is(err, unix.ENODEV) || time.Now().After(deadline) {
			return err
		}
	}
}

func address(s int, device string, ip, mask net.IP) error {
	for _, set := range []struct {
		request uint
		value   net.IP
	}{{unix.SIOCSIFADDR, ip}, {unix.SIOCSIFNETMASK, mask}} {
		ifr, err := unix.NewIfreq(device)
		if err != nil {
			return err
		}
		if err := ifr.SetInet4Addr(set.value.To4()); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, set.request, ifr); err != nil {
			return fmt.Errorf("%s: address %s: %w", device, set.value, err)
		}
	}
	return nil
}

func up(s int, device string) error {
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("%s: bring up: %w", device, err)
	}
	return nil
}
