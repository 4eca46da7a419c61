package entropy

import "math/bits"

// One is a bit in the fixed point in which Log2 counts.
const (
	Shift = 8
	One   = 1 << Shift
)

// log2Frac[i] is log2(1 + i/256) in units of One. It is computed in integers: floating point may be fused on some
// machines, and every price must be the same on all of them.
var log2Frac = func() (t [256]uint16) {
	for i := range t {
		x := uint64(256+i) << 22 // 1.0 is 1<<30
		r := 0
		for range Shift + 2 {
			x = x * x >> 30
			r <<= 1
			if x >= 1<<31 {
				x >>= 1
				r |= 1
			}
		}
		t[i] = uint16((r + 2) >> 2)
	}
	return t
}()

// Log2 returns log2(x), x >= 1, in units of One.
func Log2(x uint32) int32 {
	h := bits.Len32(x) - 1
	f := uint32(uint64(x) << (31 - uint(h)) >> 23 & 255)
	return int32(h<<Shift) + int32(log2Frac[f])
}
