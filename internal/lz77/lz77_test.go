package lz77

import "testing"

func TestMatchLen(t *testing.T) {
	const text = "abcdefghijklmnop-abcdefghijklmnoX"
	for _, c := range []struct{ a, b, limit, want int }{
		{0, 17, len(text), 15}, {0, 17, 20, 3}, {1, 17, len(text), 0}, {8, 25, len(text), 7}, {0, 17, 17, 0}, {0, 17, 25, 8},
	} {
		if got := MatchLen([]byte(text), c.a, c.b, c.limit); got != c.want {
			t.Errorf("MatchLen(%d, %d, %d) = %d, want %d", c.a, c.b, c.limit, got, c.want)
		}
	}
}
