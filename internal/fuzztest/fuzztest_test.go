package fuzztest

import "testing"

var kept []byte

// failures counts instead of failing.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Helper()               {}
func (f *failures) Errorf(string, ...any) { f.n++ }

func TestLimit(t *testing.T) {
	const size = 8 << 20
	f := &failures{TB: t}
	Limit(f, size/2, func() { kept = make([]byte, size) })
	if f.n != 1 {
		t.Errorf("%d bytes pass for %d", size, size/2)
	}
	Limit(f, 2*size, func() { kept = make([]byte, size) })
	if f.n != 1 {
		t.Errorf("%d bytes do not pass for %d", size, 2*size)
	}
}
