// Package bootconf is the agreement between who makes a boot initramfs and the init inside it: where the configuration
// and the kernel modules lie, and what the configuration says.
//
// The init is PID 1 and should be small, so this package imports next to nothing.
package bootconf

import (
	"errors"
	"strings"
)

// Places in the initramfs, without a leading slash.
const (
	File       = "fledge/boot.conf" // the configuration
	ModulesDir = "fledge/modules"   // the kernel modules, unpacked
)

// Config is what the builder of an initramfs tells its init.
type Config struct {
	OverlaySize string   // size of the tmpfs that takes writes to the root, as CheckSize accepts it
	Modules     []string // file names in ModulesDir, in the order to load them
}

// Format renders c: one "key=value" line for the overlay's size and one for each module.
func (c Config) Format() []byte {
	b := append([]byte("overlay_size="), c.OverlaySize...)
	for _, m := range c.Modules {
		b = append(append(b, "\nmodule="...), m...)
	}
	return append(b, '\n')
}

// Parse reads what Format wrote.
func Parse(b []byte) (Config, error) {
	var c Config
	for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "overlay_size":
			c.OverlaySize = value
		case "module":
			if value == "" || strings.Contains(value, "/") {
				return Config{}, errors.New("bad module name in line \"" + line + "\"")
			}
			c.Modules = append(c.Modules, value)
		default:
			return Config{}, errors.New("unknown line \"" + line + "\"")
		}
	}
	return c, CheckSize(c.OverlaySize)
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
