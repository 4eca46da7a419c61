package ext4

import (
	"testing"

	"github.com/fledge-build/fledge/internal/layerpack"
)

func TestSmoke(t *testing.T) {
	pack := build(t, plain, func(b *layerpack.Builder) {
		add(t, b, emptyFile("a/b"), "hello\n")
	})
	for _, j := range []bool{false, true} {
		image, stats := link(t, Options{Journal: j}, pack)
		t.Logf("%+v", stats)
		dir := mount(t, "ro", image)
		_ = dir
	}
}
