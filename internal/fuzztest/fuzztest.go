// Package fuzztest has what the fuzz targets share: they do not only look for panics, but hold decoders to a bound on the
// memory that hostile input makes them ask for.
package fuzztest

import (
	"runtime/metrics"
	"testing"
)

// Allocated is the number of bytes that the process allocates on the heap while f runs, freed ones included: never less
// than what f holds at once. Small objects are counted by the page, so it is right to some 100 KiB only.
func Allocated(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

// Limit fails a test when f allocates more than limit bytes.
func Limit(t testing.TB, limit int, f func()) {
	t.Helper()
	if got := Allocated(f); got > uint64(limit) {
		t.Errorf("%d bytes were allocated, and at most %d may be", got, limit)
	}
}
