package fstree

import (
	"fmt"
	"testing"
)

// BenchmarkMerge merges a million files, which come in the order of a hash in every folder, as ext4 lists them.
func BenchmarkMerge(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		m := NewMerger()
		err := m.AddLayer("base", func(yield func(Entry, error) bool) {
			for i := range n {
				path := fmt.Sprintf("usr/lib/d%03d/package-%04d/file-%08x", i/50000, i/50, uint32(i)*2654435761)
				if !yield(Entry{Path: path, Type: Regular, Mode: 0o644, Content: uint32(i)}, nil) {
					return
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		tree, err := m.Tree()
		if err != nil || tree.Names < n {
			b.Fatal(err)
		}
	}
}
