package entropy

import (
	"math"
	"testing"
)

func TestLog2(t *testing.T) {
	for _, x := range []uint32{1, 2, 3, 255, 256, 257, 1000, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		want := math.Log2(float64(x)) * One
		if got := float64(Log2(x)); math.Abs(got-want) > 2 {
			t.Errorf("Log2(%d) = %v, want about %.1f", x, got, want)
		}
	}
	for x := uint32(1); x < 1<<16; x++ {
		if Log2(x+1) < Log2(x) {
			t.Fatalf("Log2(%d) is below Log2(%d)", x+1, x)
		}
	}
}
