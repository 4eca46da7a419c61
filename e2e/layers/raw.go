package layers

import (
	"fmt"
	"strconv"
)

// The magics of tar headers, with the version behind it; that of v7 is empty.
const (
	Ustar = "ustar\x0000"
	GNU   = "ustar  \x00"
)

// Raw is a tar header made by hand, for what archive/tar does not write. The fields hold what the header's have, byte for
// byte (Octal, Base256), and are cut at its fields' ends.
type Raw struct {
	Name, Link     string // 100 bytes each
	Type           byte
	Mode, UID, GID string // 8 bytes each; empty is 0
	Size, ModTime  string // 12 bytes each; an empty Size is that of the data
	Magic          string // 8 bytes; empty is Ustar, NoMagic is v7's
	Uname, Gname   string // 32 bytes each
	Major, Minor   string // 8 bytes each
	Rest           string // 167 bytes: ustar's prefix, or what GNU has there
	Signed         bool   // the checksum takes bytes for signed, as old Sun tar does
}

// NoMagic is the Magic of v7.
const NoMagic = "\x00"

// Octal is v in a field of size bytes, the last of which is NUL.
func Octal(v int64, size int) string { return fmt.Sprintf("%0*o\x00", size-1, v) }

// Base256 is v in a field of size bytes as GNU tar writes numbers that do not fit: two's complement, the first bit set.
func Base256(v int64, size int) string {
	b := make([]byte, size)
	for i := range b {
		b[size-1-i] = byte(v >> min(8*i, 63))
	}
	b[0] |= 0x80
	return string(b)
}

// Record is one record of a PAX header, "LENGTH KEY=VALUE\n" where LENGTH counts itself (POSIX.1-2001, pax).
func Record(key, value string) string {
	rest := len(key) + len(value) + len(" =\n")
	size := rest + len(strconv.Itoa(rest))
	size = rest + len(strconv.Itoa(size))
	return fmt.Sprintf("%d %s=%s\n", size, key, value)
}

// Entry is the header with its checksum, and the data in whole blocks.
func (r Raw) Entry(data string) []byte {
	h := make([]byte, tarBlock)
	put := func(at, size int, value, empty string) {
		if value == "" {
			value = empty
		}
		copy(h[at:at+size], value)
	}
	put(0, 100, r.Name, "")
	put(100, 8, r.Mode, Octal(0, 8))
	put(108, 8, r.UID, Octal(0, 8))
	put(116, 8, r.GID, Octal(0, 8))
	put(124, 12, r.Size, Octal(int64(len(data)), 12))
	put(136, 12, r.ModTime, Octal(0, 12))
	h[156] = r.Type
	put(157, 100, r.Link, "")
	put(257, 8, r.Magic, Ustar)
	put(265, 32, r.Uname, "")
	put(297, 32, r.Gname, "")
	put(329, 8, r.Major, "")
	put(337, 8, r.Minor, "")
	put(345, 167, r.Rest, "")
	sum := 8 * int(' ') // the checksum's own field
	for _, c := range h {
		if sum += int(c); r.Signed && c > 127 {
			sum -= 256
		}
	}
	put(148, 8, fmt.Sprintf("%06o\x00 ", sum), "")
	return append(h, pad([]byte(data))...)
}
