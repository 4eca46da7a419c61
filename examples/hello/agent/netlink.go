//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// netlink is a socket to the kernel's network configuration (rtnetlink(7)).
type netlink struct{ fd int }

func dialNetlink() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &netlink{fd}, nil
}

func (s *netlink) close() { unix.Close(s.fd) }

// request sends one message and waits for the kernel's answer.
func (s *netlink) request(message []byte) error {
	if err := unix.Sendto(s.fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s.fd, answer, 0)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	return acknowledgement(answer[:n])
}

// acknowledgement reads an NLMSG_ERROR message, whose error is 0 when all went well.
func acknowledgement(b []byte) error {
	if len(b) < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return errors.New("netlink: the kernel's answer is no acknowledgement")
	}
	if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code != 0 {
		return fmt.Errorf("netlink: %w", unix.Errno(-code))
	}
	return nil
}

// message makes a request: header (struct nlmsghdr), fixed part, attributes (struct rtattr).
func message(kind, flags uint16, fixed []byte, attributes ...[]byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, 64)
	b = append(b, fixed...)
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	return b
}

// attribute is one struct rtattr; all values here are 4 bytes long and need no padding.
func attribute(kind uint16, value [4]byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.SizeofRtAttr+4)
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value[:]...)
}

// linkUp sets IFF_UP (struct ifinfomsg).
func linkUp(device int) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(device))
	binary.NativeEndian.PutUint32(b[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(b[12:], unix.IFF_UP) // which flags to change
	return message(unix.RTM_NEWLINK, 0, b)
}

// addAddress gives a device an IPv4 address (struct ifaddrmsg).
func addAddress(device int, address netip.Prefix) []byte {
	b := make([]byte, unix.SizeofIfAddrmsg)
	b[0] = unix.AF_INET
	b[1] = byte(address.Bits())
	binary.NativeEndian.PutUint32(b[4:], uint32(device))
	ip := address.Addr().As4()
	return message(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b,
		attribute(unix.IFA_LOCAL, ip), attribute(unix.IFA_ADDRESS, ip))
}

// addDefaultRoute sends all else by way of a gateway (struct rtmsg).
func addDefaultRoute(device int, gateway netip.Addr) []byte {
	b := make([]byte, unix.SizeofRtMsg)
	b[0] = unix.AF_INET
	b[4] = unix.RT_TABLE_MAIN
	b[5] = unix.RTPROT_BOOT
	b[6] = unix.RT_SCOPE_UNIVERSE
	b[7] = unix.RTN_UNICAST
	var index [4]byte
	binary.NativeEndian.PutUint32(index[:], uint32(device))
	return message(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b,
		attribute(unix.RTA_GATEWAY, gateway.As4()), attribute(unix.RTA_OIF, index))
}
