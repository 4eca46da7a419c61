//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// deviceLimit is how long the driver of eth0 may take. A machine without one waits in vain.
const deviceLimit = 2 * time.Second

var (
	guest   = netip.MustParsePrefix("10.0.2.15/24")
	gateway = netip.MustParseAddr("10.0.2.2")
)

// setUpNetwork brings up the loopback device, which gives it its address, and eth0 unless mode says that there is none.
func setUpNetwork(mode string) error {
	s, err := dialNetlink()
	if err != nil {
		return err
	}
	defer s.close()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	if err := s.request(linkUp(lo.Index)); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	if mode == "vsock" {
		return nil
	}
	eth, err := waitForDevice("eth0", deviceLimit)
	if err != nil {
		return err
	}
	if err := configure(s, eth.Index); err != nil {
		return fmt.Errorf("eth0: %w", err)
	}
	return nil
}

// configure gives the device the guest's address and makes it the way to everywhere.
func configure(s *netlink, device int) error {
	for _, message := range [][]byte{linkUp(device), addAddress(device, guest), addDefaultRoute(device, gateway)} {
		if err := s.request(message); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

func waitForDevice(name string, limit time.Duration) (*net.Interface, error) {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		device, err := net.InterfaceByName(name)
		if err == nil {
			return device, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no device %s after %v", name, limit)
		}
	}
}
