package kconfig

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

const sample = `#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.176 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc-12 (Debian \"12.2.0\") 12.2.0"
CONFIG_SQUASHFS=m
CONFIG_SQUASHFS_ZSTD=y

# CONFIG_EROFS_FS is not set
# CONFIG_EXT4_FS=y would be a comment
CONFIG_SQUASHFS_FRAGMENT_CACHE_SIZE=3
CONFIG_PHYSICAL_START=0x1000000
CONFIG_LOW=-1
CONFIG_OLD=n
CONFIG_XFS_FS=y
CONFIG_XFS_FS=m
CONFIG_BTRFS_FS=y
# CONFIG_BTRFS_FS is not set
CONFIG_last=y`

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpen(t *testing.T) {
	for form, data := range map[string][]byte{
		"plain": []byte(sample), "gzip": zipped(t, sample), "DOS lines": []byte(strings.ReplaceAll(sample, "\n", "\r\n")),
	} {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Open(file)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if c.Name() != file {
			t.Errorf("%s: name %q", form, c.Name())
		}
		for option, want := range map[string]struct{ builtIn, module bool }{
			"SQUASHFS": {module: true}, "SQUASHFS_ZSTD": {builtIn: true}, "EROFS_FS": {}, "EXT4_FS": {}, "NEVER_HEARD_OF": {},
			"OLD": {}, "XFS_FS": {module: true}, "BTRFS_FS": {}, "SQUASHFS_FRAGMENT_CACHE_SIZE": {}, "last": {builtIn: true},
		} {
			if c.BuiltIn(option) != want.builtIn || c.Module(option) != want.module {
				t.Errorf("%s: %s: built in %t, module %t; want %+v", form, option, c.BuiltIn(option), c.Module(option), want)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	whole := zipped(t, sample)
	for _, tt := range []struct{ data, want string }{
		{"", "kernel config FILE: no CONFIG_ line among its 0 lines: give the .config of the kernel"},
		{"# a comment\n\n", "FILE: no CONFIG_ line among its 2 lines"},
		{"CONFIG_A=y\nhello world\n", `kernel config FILE:2: "hello world" is neither CONFIG_NAME=value nor a comment: give`},
		{"CONFIG_A=\n", `FILE:1: "CONFIG_A=" is`},
		{"CONFIG_A=yes\n", `FILE:1: "CONFIG_A=yes" is`},
		{"CONFIG_A=\"open\n", `FILE:1: "CONFIG_A=\"open" is`},
		{"CONFIG_A=\"a\"b\"\n", "FILE:1: "},
		{"CONFIG_=y\n", "FILE:1: "},
		{" CONFIG_A=y\n", "FILE:1: "},
		{"CONFIG_A=y\n\n# x\nMZ" + strings.Repeat("\x00\xff", 99), `FILE:4: "MZ\x00\xff`},
		{string(whole[:len(whole)-9]), "kernel config FILE: unexpected EOF: give"},
		{"\x1f\x8b", "kernel config FILE: "},
		{string(zipped(t, strings.Repeat("\n", maxSize+1))), "FILE: more than 16 MiB, which no configuration is: give"},
		{strings.Repeat("\n", maxSize+1), "FILE: more than 16 MiB"},
	} {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(tt.data), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(file)
		if want := strings.ReplaceAll(tt.want, "FILE", file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error %v, want one about %q", tt.data, err, want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%.60q: error of %d bytes", tt.data, len(err.Error()))
		}
	}
	if _, err := Open(t.TempDir() + "/none"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory: give the .config") {
		t.Errorf("a folder: %v", err)
	}
}

// TestRealConfigs reads those of Debian's kernels.
func TestRealConfigs(t *testing.T) {
	for _, variable := range []string{"FLEDGE_KERNEL_CONFIG", "FLEDGE_KERNEL_ARM64_CONFIG"} {
		t.Run(variable, func(t *testing.T) {
			file := os.Getenv(variable)
			if file == "" {
				t.Skipf("needs %s, the configuration of a kernel", variable)
			}
			c, err := Open(file)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(string(text), "\n") {
				option, value, _ := strings.Cut(strings.TrimPrefix(line, "CONFIG_"), "=")
				if strings.HasPrefix(line, "CONFIG_") && (c.BuiltIn(option) != (value == "y") || c.Module(option) != (value == "m")) {
					t.Errorf("%s: built in %t, module %t", line, c.BuiltIn(option), c.Module(option))
				}
			}
			if len(c.values) < 1000 {
				t.Errorf("only %d options", len(c.values))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("# CONFIG_A is not set\n"))
	f.Add([]byte("CONFIG_A=\"\\\"\"\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c *Config
		var err error
		fuzztest.Limit(t, 4<<20+100*len(text), func() { c, err = Parse("config", text) })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "kernel config config:") || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("error %q", err)
			}
			return
		}
		for option, value := range c.values {
			if !bytes.Contains(text, []byte("CONFIG_"+option+"="+value)) {
				t.Errorf("%s=%s is not in the text", option, value)
			}
		}
	})
}
