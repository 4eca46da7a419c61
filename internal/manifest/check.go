package manifest

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
)

// The checks complete the sentence "KEY = VALUE …".

const maxName = 63

func checkName(s string) error {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	if strings.Trim(s, first+"-_") != "" || !strings.ContainsRune(first, rune(s[0])) || len(s) > maxName {
		return fmt.Errorf("is not a name: up to %d lower-case letters, digits, - and _, a letter or digit first", maxName)
	}
	return nil
}

func checkVersion(s string) error {
	if len(s) > 128 || !printable(s) || strings.ContainsRune(s, ' ') {
		return errors.New("is not a version: up to 128 printable characters without spaces")
	}
	return nil
}

func checkActionName(s string) error {
	if s == "" || len(s) > maxName || !printable(s) || strings.ContainsAny(s, " /") {
		return fmt.Errorf("is not a name: up to %d printable characters without spaces and slashes", maxName)
	}
	return nil
}

func checkArgument(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("must not have a NUL character")
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("is not a URL of the form http://HOST:PORT/PATH")
	}
	return nil
}

func checkAbsolute(s string) error {
	if !path.IsAbs(s) {
		return errors.New("must begin with /")
	}
	return nil
}

func checkUser(s string) error {
	user, group, both := strings.Cut(s, ":")
	if user == "" || both && group == "" || strings.ContainsRune(group, ':') || !printable(s) ||
		strings.ContainsRune(s, ' ') {
		return errors.New("is not of the form USER or USER:GROUP, each a name or a number")
	}
	return nil
}

func checkEnv(name, value string) error {
	if name == "" || strings.ContainsAny(name, "= ") || !printable(name) {
		return errors.New("is not a name of a variable: printable characters without = and spaces")
	}
	return checkArgument(value)
}

func checkLabel(name, value string) error {
	if strings.HasPrefix(name, LabelPrefix) {
		return fmt.Errorf("begins with %s, which is kept for Fledge's own labels", LabelPrefix)
	}
	if name == "" || !printable(name) {
		return errors.New("is not a name of a label: printable characters")
	}
	return checkArgument(value)
}

// checkPCIAddress wants DOMAIN:BUS:DEVICE.FUNCTION, as the kernel names PCI devices.
func checkPCIAddress(s string) error {
	if !matches(s, "hhhh:hh:hh.o") {
		return errors.New("is not a PCI address such as 0000:01:00.0")
	}
	return nil
}

func checkPCIDevice(s string) error {
	if !matches(s, "hhhh:hhhh") && !matches(s, "hhhh:*") {
		return errors.New("is not VENDOR:DEVICE or VENDOR:*, each four hex digits, such as 10de:*")
	}
	return nil
}

// matches compares s with a pattern in which h is a hex digit and o an octal one.
func matches(s, pattern string) bool {
	if len(s) != len(pattern) {
		return false
	}
	for i := range len(s) {
		digits := string(pattern[i])
		switch pattern[i] {
		case 'h':
			digits = "0123456789abcdefABCDEF"
		case 'o':
			digits = "01234567"
		}
		if strings.IndexByte(digits, s[i]) < 0 {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
