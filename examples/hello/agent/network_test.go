//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The messages are those of struct nlmsghdr, ifinfomsg, ifaddrmsg, rtmsg and rtattr in little-endian machines.
func TestMessages(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the golden bytes are little-endian")
	}
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"link up", linkUp(2),
			"20000000 1000 0500 00000000 00000000" + "00 00 0000 02000000 01000000 01000000"},
		{"address", addAddress(2, guest),
			"28000000 1400 0506 00000000 00000000" + "02 18 00 00 02000000" + "0800 0200 0a00020f" + "0800 0100 0a00020f"},
		{"route", addDefaultRoute(2, gateway),
			"2c000000 1800 0506 00000000 00000000" + "02 00 00 00 fe 03 00 01 00000000" + "0800 0500 0a000202" +
				"0800 0400 02000000"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(tt.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(tt.got, want) {
			t.Errorf("%s: %x, want %x", tt.name, tt.got, want)
		}
	}
}

func TestAcknowledgement(t *testing.T) {
	answer := message(unix.NLMSG_ERROR, 0, make([]byte, 4))
	if err := acknowledgement(answer); err != nil {
		t.Error(err)
	}
	code := -int32(unix.EPERM)
	binary.NativeEndian.PutUint32(answer[unix.SizeofNlMsghdr:], uint32(code))
	if err := acknowledgement(answer); !errors.Is(err, unix.EPERM) {
		t.Errorf("error %v, want EPERM", err)
	}
	for _, b := range [][]byte{nil, answer[:18], message(unix.RTM_NEWLINK, 0, make([]byte, 4))} {
		if acknowledgement(b) == nil {
			t.Errorf("%x passes for an acknowledgement", b)
		}
	}
}

// TestKernel sets up the network in a namespace of its own, where the loopback device stands for eth0.
func TestKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	runtime.LockOSThread() // and never unlock it: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace here:", err)
	}
	if err := setUpNetwork("vsock"); err != nil {
		t.Fatal(err)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if lo.Flags&net.FlagUp == 0 {
		t.Error("lo is down")
	}
	s, err := dialNetlink()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for range 2 { // what is there already is no error
		if err := configure(s, lo.Index); err != nil {
			t.Fatal(err)
		}
	}
	addresses, err := lo.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range addresses {
		got = append(got, a.String())
	}
	if all := strings.Join(got, " "); !strings.Contains(all, "127.0.0.1/8") || !strings.Contains(all, "10.0.2.15/24") {
		t.Errorf("lo has %s", all)
	}
	routes, err := os.ReadFile("/proc/thread-self/net/route")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(routes), "lo\t00000000\t0202000A\t") {
		t.Errorf("no default route by 10.0.2.2:\n%s", routes)
	}
}
