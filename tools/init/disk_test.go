//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sysfs makes a tree like /sys: a path that ends in "/" is a directory, any other a file with the given content.
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir != path {
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestFirstDisk(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"sda", "loop0", "sr0"}, ""},
		{[]string{"vda"}, "vda"},
		{[]string{"vdb", "loop0", "vda"}, "vda"},
		{[]string{"vdaa", "vdc", "vdb"}, "vdb"},
	} {
		files := map[string]string{"block/": ""}
		for _, n := range tt.names {
			files["block/"+n+"/"] = ""
		}
		if got := firstDisk(sysfs(t, files)); got != tt.want {
			t.Errorf("firstDisk with %q = %q, want %q", tt.names, got, tt.want)
		}
	}
	if got := firstDisk(t.TempDir()); got != "" {
		t.Errorf("firstDisk without /sys/block = %q", got)
	}
}

func TestDiskState(t *testing.T) {
	const pci, virtio = "bus/pci/devices/0000:00:02.0/", "bus/virtio/devices/virtio0/"
	pciDevice := func(vendor, device string) map[string]string {
		return map[string]string{pci + "vendor": vendor + "\n", pci + "device": device + "\n"}
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"nothing", nil, noDevice},
		{"network card", map[string]string{virtio + "device": "0x0001\n", virtio + "driver/": ""}, noDevice},
		{"modern PCI disk without a driver", pciDevice("0x1af4", "0x1042"), noTransport},
		{"legacy PCI disk without a driver", pciDevice("0x1af4", "0x1001"), noTransport},
		{"other vendor", pciDevice("0x8086", "0x1001"), noDevice},
		{"virtio disk without a driver", map[string]string{
			pci + "vendor": "0x1af4\n", pci + "device": "0x1042\n", pci + "driver/": "", virtio + "device": "0x0002\n",
		}, noDriver},
		{"disk with a driver", map[string]string{virtio + "device": "0x0002\n", virtio + "driver/": ""}, starting},
	} {
		if got := diskState(sysfs(t, tt.files)); got != tt.want {
			t.Errorf("%s: state %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestIsReadOnly(t *testing.T) {
	sys := sysfs(t, map[string]string{"block/vda/ro": "0\n", "block/vdb/ro": "1\n"})
	if isReadOnly(sys, "vda") || !isReadOnly(sys, "vdb") {
		t.Error("vda should take writes, and vdb none")
	}
}

func TestWaitForDisk(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		start := time.Now()
		_, err := waitForDisk(sysfs(t, nil))
		if err == nil || err.Error() != "no virtio disk; attach the image as the machine's first virtio disk" {
			t.Errorf("error %v", err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("took %v to find that there is none", d)
		}
	})
	t.Run("late", func(t *testing.T) {
		sys := sysfs(t, map[string]string{
			"block/": "", "bus/virtio/devices/virtio0/device": "0x0002\n", "bus/virtio/devices/virtio0/driver/": "",
		})
		// Longer than the grace period: only the device that is starting keeps the wait going.
		timer := time.AfterFunc(400*time.Millisecond, func() { os.Mkdir(filepath.Join(sys, "block/vda"), 0o755) })
		defer timer.Stop()
		if name, err := waitForDisk(sys); name != "vda" || err != nil {
			t.Errorf("got %q, %v", name, err)
		}
	})
}
