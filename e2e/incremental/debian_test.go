package incremental

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
)

// With a base of some hundred megabytes a change of the app layer runs three actions. bench measures what they take.
func TestDebian(t *testing.T) {
	harness.NeedSlow(t, "makes a Debian system, starts a Bazel server and builds the packer")
	var progress bytes.Buffer
	layout, err := corpus.Make(context.Background(), corpus.Options{Compression: layers.Gzip}, &progress)
	if errors.Is(err, corpus.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.Bytes())
	}
	w := harness.NewWorkspace(t, nil)
	p, err := corpus.NewPackage(w.Dir, layout)
	if err != nil {
		t.Fatal(err)
	}
	w.Build(t, "//:debian")
	spawns, _ := w.Build(t, "//:debian")
	expect(t, spawns)
	// The content is new, or the disk cache could have the outcome of an earlier run.
	if err := p.ChangeApp(fmt.Sprintf("%024d", time.Now().UnixNano())); err != nil {
		t.Fatal(err)
	}
	spawns, _ = w.Build(t, "//:debian")
	expect(t, spawns, "FledgePack //:image", "FledgeLink //:debian", "FledgeManifest //:debian")
}
