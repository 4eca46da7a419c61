package build

import (
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/agent/agenttest"
)

// TestLockOfBothArchitectures has one lock for both: what one pins is not moved by the other.
func TestLockOfBothArchitectures(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	toml := rootfs("oci:image", latest)
	first := k.must(toml, "amd64")
	k.releases.Add(release("v2"))
	k.must(toml, "arm64")
	lock := k.read("fledge.lock")
	for _, arch := range archs {
		if sum := agenttest.SHA256(release("v1").Files[map[string]string{"amd64": "kestrel", "arm64": "kestrel-arm64"}[arch]]); !strings.Contains(lock, "sha256."+arch+" = \""+sum) {
			t.Errorf("the lock has not v1 for %s:\n%s", arch, lock)
		}
	}
	if again := k.must(toml, "amd64", locked); again.Artifacts[0].Digest != first.Artifacts[0].Digest {
		t.Error("a build for arm64 changed what one for amd64 makes")
	}
	k.must(toml, "arm64", locked)
	if now := k.read("fledge.lock"); now != lock {
		t.Errorf("it was\n%s\nand is\n%s", lock, now)
	}
	o := k.options(toml)
	if _, err := Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, arch := range archs {
		k.must(toml, arch, locked)
	}
	if now := k.read("fledge.lock"); strings.Count(now, "v2") != 1 || strings.Count(now, "sha256.") != 2 {
		t.Errorf("not renewed for both:\n%s", now)
	}
}
