package entropy

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

func fibonacci(n int) []uint32 {
	f := make([]uint32, n)
	for i := range f {
		f[i] = 1
		if i > 1 {
			f[i] = f[i-1] + f[i-2]
		}
	}
	return f
}

func TestLengths(t *testing.T) {
	equal := make([]uint32, 286)
	for i := range equal {
		equal[i] = 7
	}
	for _, c := range []struct {
		name   string
		counts []uint32
		limit  uint
		want   []uint8 // nil where the test below is enough
	}{
		{"two", []uint32{0, 5, 0, 1}, 15, []uint8{0, 1, 0, 1}},
		{"four equal", []uint32{3, 3, 3, 3}, 7, []uint8{2, 2, 2, 2}},
		{"textbook", []uint32{45, 13, 12, 16, 9, 5}, 15, []uint8{1, 3, 3, 3, 4, 4}},
		{"limit not reached", fibonacci(8), 7, []uint8{7, 7, 6, 5, 4, 3, 2, 1}},
		{"limit of two", []uint32{1, 1, 2, 4}, 2, []uint8{2, 2, 2, 2}},
		{"limit of 3", []uint32{1, 1, 2, 3, 5}, 3, []uint8{3, 3, 3, 3, 1}},
		{"limit of 7", fibonacci(19), 7, nil},
		{"limit of 15", fibonacci(30), 15, nil},
		{"large counts", []uint32{1, 1 << 31, 1<<31 - 2}, 15, []uint8{2, 1, 2}},
		{"all lengths and literals", equal, 15, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := make([]uint8, len(c.counts))
			longest := new(Builder).Lengths(c.counts, c.limit, out)
			check(t, c.counts, c.limit, out, longest)
			if c.want != nil && !slices.Equal(out, c.want) {
				t.Errorf("%v, want %v", out, c.want)
			}
		})
	}
}

// check tells whether lengths are those of a complete code with shorter codes for what is more frequent.
func check(t *testing.T, counts []uint32, limit uint, out []uint8, longest uint) {
	t.Helper()
	kraft, top := 0, uint8(0)
	for s, l := range out {
		if (l > 0) != (counts[s] > 0) || uint(l) > limit {
			t.Fatalf("symbol %d occurs %d times and has length %d", s, counts[s], l)
		}
		if l > 0 {
			kraft += 1 << (limit - uint(l))
		}
		top = max(top, l)
		for o, k := range out {
			if l > 0 && k > l && counts[o] > counts[s] {
				t.Fatalf("symbol %d occurs %d times and has length %d, %d %d times and %d", s, counts[s], l, o, counts[o], k)
			}
		}
	}
	if kraft != 1<<limit || uint(top) != longest {
		t.Fatalf("Kraft sum %d/%d, longest %d, returned %d", kraft, 1<<limit, top, longest)
	}
}

func TestRandom(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	b := new(Builder)
	for round := range 300 {
		counts := make([]uint32, 2+rng.Intn(300))
		for i := range counts {
			if rng.Intn(3) > 0 {
				counts[i] = uint32(rng.ExpFloat64() * float64(int(1)<<rng.Intn(20)))
			}
		}
		counts[0], counts[1] = counts[0]|1, counts[1]|1
		for _, limit := range []uint{9, 15} {
			t.Run(fmt.Sprint(round, limit), func(t *testing.T) {
				out := make([]uint8, len(counts))
				check(t, counts, limit, out, b.Lengths(counts, limit, out))
			})
		}
	}
}
