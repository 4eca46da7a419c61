package inspect

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// vis writes a name as vis(3) does with octal escapes, for mtree(5): all but printable ASCII is escaped, and so are
// spaces, the backslash, the number sign, and the characters of patterns.
func vis(name string) string {
	const special = `\#*?[=`
	return escape(name, func(r rune, size int) bool {
		return size == 1 && r > ' ' && r < 0x7f && !strings.ContainsRune(special, r)
	})
}

// Printable writes a name for people: control characters, what is not UTF-8, and the backslash as octal escapes.
func Printable(name string) string {
	return escape(name, func(r rune, size int) bool {
		return r != '\\' && unicode.IsPrint(r) && (r != utf8.RuneError || size > 1)
	})
}

func escape(name string, plain func(r rune, size int) bool) string {
	var b strings.Builder
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		if plain(r, size) {
			b.WriteString(name[i : i+size])
		} else {
			for _, c := range []byte(name[i : i+size]) {
				b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
			}
		}
		i += size
	}
	return b.String()
}
