// Package bootconf is the agreement between who makes a boot initramfs and the init inside it: where the configuration
// and the kernel modules lie, and what the configuration says.
//
// The init is PID 1 and should be small, so this package imports next to nothing.
package bootconf

import (
	"errors"
	"strings"

	"github.com/fledge-build/fledge/internal/verity/layout"
)

// Places in the initramfs, without a leading slash.
const (
	File       = "fledge/boot.conf" // the configuration
	ModulesDir = "fledge/modules"   // the kernel modules, unpacked
)

// The root hash of dm-verity on the kernel command line.
const (
	VerityCmdline = "cmdline"  // the value of Config.Verity that demands it there
	RootHashKey   = "roothash" // the parameter
)

// Config is what the builder of an initramfs tells its init. With Exec the initramfs is the whole system and the init
// becomes that program; without, it boots from the disk.
type Config struct {
	Exec        string   // program to become, as CheckExec accepts it, or ""
	OverlaySize string   // size of the tmpfs that takes writes to the root, as CheckSize accepts it; "" with Exec
	Verity      string   // root hash of the disk, as CheckVerity accepts it, or "": the disk is not checked
	Modules     []string // file names in ModulesDir, in the order to load them
}

// Format renders c: one "key=value" line for the program, one for the overlay's size, one for
// the root hash and one for each module.
func (c Config) Format() []byte {
	var b []byte
	line := func(key, value string) {
		if value != "" {
			b = append(append(append(append(b, key...), '='), value...), '\n')
		}
	}
	line("exec", c.Exec)
	line("overlay_size", c.OverlaySize)
	line("verity", c.Verity)
	for _, m := range c.Modules {
		line("module", m)
	}
	return b
}

// Parse reads what Format wrote.
func Parse(b []byte) (Config, error) {
	var c Config
	for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
		key, value, _ := strings.Cut(line, "=")
		var err error
		switch key {
		case "exec":
			c.Exec, err = value, CheckExec(value)
		case "overlay_size":
			c.OverlaySize, err = value, CheckSize(value)
		case "verity":
			c.Verity, err = value, CheckVerity(value)
		case "module":
			if value == "" || strings.Contains(value, "/") {
				err = errors.New("bad module name in line \"" + line + "\"")
			}
			c.Modules = append(c.Modules, value)
		default:
			err = errors.New("unknown line \"" + line + "\"")
		}
		if err != nil {
			return Config{}, err
		}
	}
	if c.Exec == "" && c.OverlaySize == "" {
		return Config{}, errors.New("neither an exec nor an overlay_size line")
	}
	if c.Exec != "" && c.Verity != "" {
		return Config{}, errors.New("an exec line, which boots no disk, and a verity line, which is about one")
	}
	return c, nil
}

// CheckVerity tells whether s is the root hash of a disk, 64 lower-case hex digits, or "cmdline", which demands roothash=
// and the root hash on the kernel command line.
func CheckVerity(s string) error {
	if s == VerityCmdline {
		return nil
	}
	if _, err := layout.ParseHash(s); err != nil {
		return errors.New("verity " + err.Error() + ", or \"" + VerityCmdline + "\"")
	}
	return nil
}

// CheckExec tells whether path may be the program to become: absolute, in its shortest form (no "//", "." or "..", no
// slash at the end), without line breaks and NUL bytes, and not the root directory.
func CheckExec(path string) error {
	rest, absolute := strings.CutPrefix(path, "/")
	if !absolute || strings.ContainsAny(rest, "\n\x00") {
		return errors.New("exec \"" + path + "\" is not an absolute path such as /bin/kestrel")
	}
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" || name == "." || name == ".." {
			return errors.New("exec \"" + path + "\" is not the shortest form of a path such as /bin/kestrel")
		}
	}
	return nil
}

// CheckSize tells whether s is a size for the overlay: a whole number with K, M, G or T (powers of 1024), or with % of
// the machine's memory up to 100%. The kernel's tmpfs takes such a value as it stands (tmpfs.rst, mount option size).
func CheckSize(s string) error {
	bad := errors.New("overlay_size \"" + s + "\" is not a size such as 512M, 1G or 50%")
	digits := strings.TrimRight(s, "KMGTkmgt%")
	if len(s)-len(digits) != 1 || len(digits) == 0 || len(digits) > 9 || digits[0] == '0' {
		return bad
	}
	n := 0
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return bad
		}
		n = 10*n + int(d-'0')
	}
	if s[len(s)-1] == '%' && n > 100 {
		return errors.New("overlay_size \"" + s + "\" is more than the machine's memory")
	}
	return nil
}

// FromCommandLine is the value of the last key=value parameter on a kernel command line, or "" when there is none.
// Double quotes hold spaces together as they do for the kernel (kernel-parameters.rst).
func FromCommandLine(cmdline, key string) string {
	value := ""
	for cmdline != "" {
		quoted := false
		end := strings.IndexFunc(cmdline, func(r rune) bool {
			if r == '"' {
				quoted = !quoted
			}
			return !quoted && (r == ' ' || r == '\t' || r == '\n')
		})
		if end < 0 {
			end = len(cmdline)
		}
		param := strings.ReplaceAll(cmdline[:end], `"`, "")
		if v, ok := strings.CutPrefix(param, key+"="); ok {
			value = v
		}
		cmdline = strings.TrimLeft(cmdline[end:], " \t\n")
	}
	return value
}
