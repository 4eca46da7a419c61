package m

import "testing"

func FuzzGood(f *testing.F) {
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) { Kind(b) })
}

func FuzzBad(f *testing.F) {
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 {
			t.Error("not empty")
		}
	})
}
