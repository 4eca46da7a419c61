//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/internal/verity/layout"
)

func TestMapping(t *testing.T) {
	if dmDevCreate != unix.DM_DEV_CREATE || dmTableLoad != unix.DM_TABLE_LOAD || dmDevSuspend != unix.DM_DEV_SUSPEND ||
		dmReadOnly != unix.DM_READONLY_FLAG {
		t.Error("the commands are not those of the kernel's headers")
	}
	var m mapping
	if got, want := unsafe.Offsetof(m.start), unsafe.Sizeof(unix.DmIoctl{}); got != want {
		t.Errorf("the target begins at %d, want %d", got, want)
	}
	if got, want := unsafe.Offsetof(m.params)-unsafe.Offsetof(m.start), unsafe.Sizeof(unix.DmTargetSpec{}); got != want {
		t.Errorf("the parameters begin %d behind the target, want %d", got, want)
	}
	for _, at := range [][2]uintptr{
		{unsafe.Offsetof(m.size), unsafe.Offsetof(unix.DmIoctl{}.Data_size)},
		{unsafe.Offsetof(m.flags), unsafe.Offsetof(unix.DmIoctl{}.Flags)},
		{unsafe.Offsetof(m.device), unsafe.Offsetof(unix.DmIoctl{}.Dev)},
		{unsafe.Offsetof(m.name), unsafe.Offsetof(unix.DmIoctl{}.Name)},
	} {
		if at[0] != at[1] {
			t.Errorf("a field lies at %d, want %d", at[0], at[1])
		}
	}
}

func TestRootHash(t *testing.T) {
	a, b := strings.Repeat("a1", 32), strings.Repeat("b2", 32)
	for _, tt := range []struct {
		configured, cmdline string
		want, err           string
	}{
		{"", "", "", ""},
		{"", "roothash=" + a, "", ""}, // another's parameter
		{a, "quiet", a, ""},
		{a, "quiet roothash=" + a + "\n", a, ""},
		{"cmdline", "quiet roothash=" + a + "\n", a, ""},
		{"cmdline", "roothash=" + b + " roothash=" + a, a, ""},
		{"cmdline", "quiet\n", "", "kernel command line: no roothash=, and this initramfs boots no image without; give the image's root hash"},
		{"cmdline", "roothash=\n", "", "kernel command line: no roothash="},
		{"cmdline", "roothash=cmdline\n", "", `kernel command line: roothash=: "cmdline" is not 64 lower-case hex digits`},
		{"cmdline", "roothash=" + strings.ToUpper(a), "", "is not 64 lower-case hex digits"},
		{a, "roothash=" + a[1:], "", `is not 64 lower-case hex digits`},
		{a, "roothash=" + b, "", "kernel command line: roothash=" + b + " is not the root hash of this initramfs, " + a + "; leave it out"},
	} {
		got, err := rootHash(tt.configured, tt.cmdline)
		if tt.err != "" {
			if err == nil || got != nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s with %q: got %v, error %v, want %q", tt.configured, tt.cmdline, got, err, tt.err)
			}
		} else if err != nil || (got == nil) != (tt.want == "") || got != nil && got.String() != tt.want {
			t.Errorf("%s with %q: got %v, error %v, want %s", tt.configured, tt.cmdline, got, err, tt.want)
		}
	}
}

// image is a file that grows by what is written to it.
type image struct{ *os.File }

// verified makes a disk of a file system of size bytes with its hash tree.
func verified(t *testing.T, size int) (dev string, p verity.Params) {
	t.Helper()
	dev = filepath.Join(t.TempDir(), "disk")
	f, err := os.OpenFile(dev, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err = f.Write(bytes.Repeat([]byte{0x5a}, size)); err == nil {
		p, err = verity.Append(image{f}, int64(size), layout.Hash{1: 2}, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dev, p
}

func TestCheckHashTree(t *testing.T) {
	const blocks = 200
	dev, p := verified(t, blocks*4096)
	salt, err := checkHashTree(dev, "squashfs", blocks, p.RootHash)
	if err != nil || salt != p.Salt {
		t.Errorf("salt %s, %v, want %s", salt, err, p.Salt)
	}
	const none = "no hash tree of dm-verity at offset "
	const super = blocks * 4096
	for _, tt := range []struct {
		name   string
		blocks uint64
		change int64 // offset of a byte, or -1
		size   int64 // to cut off at, or -1
		want   string
	}{
		{"signature", blocks, super + 1, -1, none + "819200 of DISK, where its squashfs ends; build the image with dm-verity; if it was, " + changed},
		{"version", blocks, super + 8, -1, "byte 819208 of DISK, in the superblock of dm-verity, is not as it was made; " + changed},
		{"UUID", blocks, super + 31, -1, "at offset 819200 of DISK is of another root hash than " + p.RootHash.String() + ": byte 819231 differs; attach"},
		{"padding", blocks, super + 4095, -1, "byte 823295 of DISK, in the superblock"},
		{"another size", blocks - 1, -1, -1, none + "815104 of DISK"},
		{"beyond the end", 1 << 30, -1, -1, none + "4398046511104 of DISK"},
		{"lying size", 1<<52 - 1, -1, -1, none + "18446744073709547520 of DISK"},
		{"no size", 0, -1, -1, none + "0 of DISK"},
		{"no tree", blocks, -1, super, none + "819200 of DISK"},
		{"half a superblock", blocks, -1, super + 512, none + "819200 of DISK"},
		{"tree cut off", blocks, -1, super + 3*4096, "DISK ends at 831488, and its hash tree at 835584; the image was cut off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := os.ReadFile(dev)
			if err != nil {
				t.Fatal(err)
			}
			if tt.change >= 0 {
				b[tt.change] ^= 1
			}
			if tt.size >= 0 {
				b = b[:tt.size]
			}
			disk := disk(t, len(b), map[int]string{0: string(b)})
			_, err = checkHashTree(disk, "squashfs", tt.blocks, p.RootHash)
			if want := strings.ReplaceAll(tt.want, "DISK", disk); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
	other := p.RootHash
	other[0]++
	if _, err := checkHashTree(dev, "squashfs", blocks, other); err == nil || !strings.Contains(err.Error(), "is of another root hash than "+other.String()) {
		t.Errorf("another root hash: %v", err)
	}
}

func TestOpenVerifiedRefuses(t *testing.T) {
	for _, fs := range fileSystems {
		_, err := openVerified("/dev/none", &fs, make([]byte, superblockSize), layout.Hash{})
		want := "open /dev/none: "
		if fs.writable() {
			want = "/dev/none holds " + fs.name + ", and this initramfs boots only what has a hash tree of dm-verity, which " + fs.name + " cannot have; attach"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", fs.name, err, want)
		}
	}
}

func TestVerityTable(t *testing.T) {
	root, salt := layout.Hash{0: 0x12}, layout.Hash{0: 0x34}
	want := "1 /dev/vda /dev/vda 4096 4096 1099511627776 1099511627777 sha256 " + root.String() + " " + salt.String()
	if got := verityTable("/dev/vda", 1<<40, root, salt); got != want || len(got) >= len(mapping{}.params) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadAll(t *testing.T) {
	const size = 3<<20 + 4096
	dev := disk(t, size, nil)
	if at, err := readAll(dev, size); at != size || err != nil {
		t.Errorf("read up to %d, %v", at, err)
	}
	if at, err := readAll(dev, size+4096); at != size || err != syscall.EIO {
		t.Errorf("a device that is too short: read up to %d, %v", at, err)
	}
}

func TestDecimal(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 9: "9", 10: "10", 4096: "4096", 1<<64 - 1: "18446744073709551615"} {
		if got := decimal(n); got != want {
			t.Errorf("decimal(%d) = %s", n, got)
		}
	}
}

func TestFileSystemSize(t *testing.T) {
	head := make([]byte, 4096)
	copy(head[40:], "\x15\xcd\x5b\x07")
	if got := squashfsSize(head); got != 123456789 {
		t.Errorf("squashfs of %d bytes", got)
	}
	head[1024+12], head[1024+36], head[1024+37] = 12, 0x34, 0x12
	if got := erofsSize(head); got != 0x1234*4096 {
		t.Errorf("erofs of %d bytes", got)
	}
	head[1024+12] = 255 // a lie: no hash tree will be at the beginning
	if got := erofsSize(head); got != 0 {
		t.Errorf("erofs of blocks of 2^255 bytes: %d bytes", got)
	}
}
