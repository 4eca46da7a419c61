package recipe

import (
	"errors"
	"path"
	"strings"
	"unicode"

	"github.com/fledge-build/fledge/internal/bootconf"
)

// The checks complete the sentence "KEY = VALUE …".

// checkReference is for slips only: what an image reference is, its reader knows.
func checkReference(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return errors.New(`is not an image: give one without spaces, such as "nginx:alpine"`)
	}
	return nil
}

func checkInit(s string) error {
	if bootconf.CheckExec(s) != nil {
		return errors.New(`is not an absolute path in its shortest form, such as "/usr/local/bin/my-init"`)
	}
	return nil
}

// checkBuildArg wants a name that a Dockerfile can refer to, as $NAME.
func checkBuildArg(name, value string) error {
	if !isName(name, "") || strings.ContainsRune("0123456789", rune(name[0])) {
		return errors.New("is not the name of an ARG: letters, digits and _, no digit first")
	}
	if strings.ContainsRune(value, 0) {
		return errors.New("has a NUL character in its value")
	}
	return nil
}

func isName(s, more string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return s != "" && strings.Trim(s, letters+more) == ""
}

// checkDest wants an absolute path in its shortest form, with a slash at the end or without.
func checkDest(s string) error {
	if !strings.HasPrefix(s, "/") {
		return errors.New("is not an absolute path in the image, such as /usr/bin/app")
	}
	if c := path.Clean(s); c != s && c+"/" != s {
		return errors.New("has an empty, '.' or '..' element; write it as " + c)
	}
	for name := range strings.SplitSeq(s, "/") {
		if strings.HasPrefix(name, ".wh.") {
			return errors.New("has a name that begins with .wh., which stands for removed files in a layer; rename it")
		}
	}
	return nil
}

// sha256Of gives the 64 digits of a checksum, in lower case; "" when it is none.
func sha256Of(s string) string {
	hex := strings.ToLower(strings.TrimPrefix(s, "sha256:"))
	if len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return ""
	}
	return hex
}
