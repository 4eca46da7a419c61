package incremental

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fledge-build/fledge/e2e/bazel"
	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/monorepo"
)

// testMonorepo checks that a change runs the actions of what it is in and of nothing else, however many images there are.
func testMonorepo(t *testing.T, consumer *harness.Workspace, seed string) {
	w := monorepo.Workspace{Dir: consumer.Dir, Size: monorepo.Size{Images: 6, Bases: 2, BaseBytes: 1 << 20, AppBytes: 100_000}}
	if err := w.Write(seed); err != nil {
		t.Fatal(err)
	}
	packApp := func(i int) string { return "FledgePack " + monorepo.Image(i) + ":layers" }
	packBase := func(i int) string { return fmt.Sprintf("FledgePack %s:base%d", monorepo.Base(i), i) }
	rebuilt := func(images ...int) (want []string) {
		for _, i := range images {
			label := fmt.Sprintf("%s:image%03d", monorepo.Image(i), i)
			want = append(want, "FledgeLink "+label, "FledgeManifest "+label)
		}
		return want
	}

	spawns, _ := consumer.Build(t, monorepo.All)
	// The agent and the boot initramfs are the same in every run of the test and may come from the disk cache.
	first := slices.DeleteFunc(bazel.OfRules(spawns), func(s harness.Spawn) bool {
		return s.Mnemonic == "FledgePackFiles" || s.Mnemonic == "FledgeBootInitramfs"
	})
	want := append(rebuilt(0, 1, 2, 3, 4, 5), packBase(0), packBase(1))
	for i := range w.Size.Images {
		want = append(want, packApp(i))
	}
	expect(t, first, want...)

	for _, step := range []struct {
		name   string
		change func() error
		want   []string
	}{
		{"nothing", func() error { return nil }, nil},
		{"one app", func() error { return w.ChangeApp(4, seed+"2") }, append(rebuilt(4), packApp(4))},
		{"one base", func() error { return w.ChangeBase(1, seed+"2") }, append(rebuilt(1, 3, 5), packBase(1))},
	} {
		t.Run(step.name, func(t *testing.T) {
			if err := step.change(); err != nil {
				t.Fatal(err)
			}
			spawns, _ := consumer.Build(t, monorepo.All)
			expect(t, spawns, step.want...)
		})
	}
}
