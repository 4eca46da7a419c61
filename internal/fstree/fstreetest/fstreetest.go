// Package fstreetest merges layers for tests of what writes trees.
package fstreetest

import (
	"fmt"
	"iter"
	"testing"

	"github.com/fledge-build/fledge/internal/fstree"
)

// Layer is a layer pack of any kind.
type Layer interface {
	Entries() iter.Seq2[fstree.Entry, error]
}

// Merge merges layers, base layer first.
func Merge[L Layer](t testing.TB, layers []L) *fstree.Tree {
	t.Helper()
	m := fstree.NewMerger()
	for i, l := range layers {
		if err := m.AddLayer(fmt.Sprint(i), l.Entries()); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := m.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
