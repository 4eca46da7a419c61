package inspect

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// vis writes a name as vis(3) does, for mtree(5): all but printable ASCII as octal escapes, and so spaces, the number sign
// and the characters of patterns; the backslash twice, as go-mtree compares targets as they are written.
func vis(name string) string {
	return escape(name, func(r rune, size int) bool {
		return size == 1 && r > ' ' && r < 0x7f && !strings.ContainsRune(`#*?[`, r)
	}, `\\`)
}

// Printable writes a name for people: control characters, what is not UTF-8, and the backslash as octal escapes.
func Printable(name string) string {
	return escape(name, func(r rune, size int) bool {
		return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1)
	}, `\134`)
}

// printableJSON is JSON with what is not printable in its strings as escapes of JSON: encoders leave some as it is.
func printableJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// escape escapes what is not plain, and writes a backslash as it is told to.
func escape(name string, plain func(r rune, size int) bool, backslash string) string {
	var b strings.Builder
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		switch {
		case r == '\\':
			b.WriteString(backslash)
		case plain(r, size):
			b.WriteString(name[i : i+size])
		default:
			for _, c := range []byte(name[i : i+size]) {
				b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
			}
		}
		i += size
	}
	return b.String()
}
