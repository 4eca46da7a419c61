//go:build linux

package pid1

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// network is what the kernel parameter fledge.ip= says. It is not ip=, for which kernels with CONFIG_IP_PNP would wait,
// before there is a driver for the card:
//
//	fledge.ip=ADDRESS:[SERVER]:GATEWAY:MASK:[HOST]:[DEVICE]:[AUTOCONF]:DNS[:DNS]
//
// The monitor of the machine knows these; there is no DHCP.
type network struct {
	address, gateway, mask netip.Addr
	device                 string // "" for the first that is not lo
	dns                    []netip.Addr
}

func parseNetwork(cmdline string) (n network, err error) {
	for word := range strings.FieldsSeq(cmdline) {
		value, ok := strings.CutPrefix(word, wire.NetworkParameter)
		if !ok {
			continue
		}
		f := strings.Split(value, ":")
		if len(f) < 8 {
			return n, fmt.Errorf("kernel parameter %s: it needs address, gateway, mask and name server", word)
		}
		for at, to := range map[int]*netip.Addr{0: &n.address, 2: &n.gateway, 3: &n.mask} {
			if *to, err = netip.ParseAddr(f[at]); err != nil || !to.Is4() {
				return n, fmt.Errorf("kernel parameter %s: %q is no IPv4 address", word, f[at])
			}
		}
		n.device = f[5]
		if strings.Contains(n.device, "/") {
			return n, fmt.Errorf("kernel parameter %s: %q is no device", word, n.device)
		}
		for _, s := range f[7:] {
			if d, err := netip.ParseAddr(s); err == nil {
				n.dns = append(n.dns, d)
			}
		}
		return n, nil
	}
	return n, fmt.Errorf("the job may use the network, but the kernel parameter %s is missing", wire.NetworkParameter)
}

// setNetwork configures the network device and writes resolv.conf, which steps get.
func setNetwork() error {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	n, err := parseNetwork(string(cmdline))
	if err != nil {
		return err
	}
	if n.device == "" {
		devices, _ := filepath.Glob("/sys/class/net/*")
		for _, d := range devices {
			if name := filepath.Base(d); name != "lo" {
				n.device = name
				break
			}
		}
	}
	if n.device == "" {
		return errors.New("the job may use the network, but the build machine has no network device: " +
			"the kernel needs the driver virtio_net, built in or as a module")
	}
	if err := n.apply(); err != nil {
		return fmt.Errorf("network device %s: %w", n.device, err)
	}
	var text strings.Builder
	for _, d := range n.dns {
		fmt.Fprintf(&text, "nameserver %s\n", d)
	}
	return os.WriteFile(ResolvFile, []byte(text.String()), 0o644)
}

// ResolvFile is what the C library and Go read.
const ResolvFile = "/etc/resolv.conf"

func (n network) apply() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, set := range []struct {
		request uint
		address netip.Addr
	}{{unix.SIOCSIFADDR, n.address}, {unix.SIOCSIFNETMASK, n.mask}} {
		r, err := unix.NewIfreq(n.device)
		if err != nil {
			return err
		}
		a := set.address.As4()
		if err := r.SetInet4Addr(a[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.request, r); err != nil {
			return err
		}
	}
	for _, name := range []string{"lo", n.device} {
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
			return err
		}
	}
	return addRoute(fd, n.gateway)
}

// route is struct rtentry of linux/route.h on 64-bit processors, as far as a default route needs it.
type route struct {
	_                  uint64
	dst, gateway, mask unix.RawSockaddrInet4
	flags              uint16
	_                  [54]byte
}

func addRoute(fd int, gateway netip.Addr) error {
	any4 := unix.RawSockaddrInet4{Family: unix.AF_INET}
	r := route{dst: any4, gateway: any4, mask: any4, flags: unix.RTF_UP | unix.RTF_GATEWAY}
	r.gateway.Addr = gateway.As4()
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&r))); e != 0 {
		return fmt.Errorf("default route: %w", e)
	}
	return nil
}
