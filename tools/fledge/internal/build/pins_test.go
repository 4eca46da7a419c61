package build

import (
	"strings"
	"testing"
)

// TestLockOfTwoRecipes builds two recipes of a folder at once: neither loses what the other pins.
func TestLockOfTwoRecipes(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	o := k.options(rootfs("oci:image", local("amd64")))
	other := k.options(rootfs("oci:image", latest))
	p, err := readPins(o.LockFile, false) // before the other one writes it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	p.setBusybox("https://example.com/busybox", strings.Repeat("0", 64))
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"oci:image", "latest", "https://example.com/busybox"} {
		if !strings.Contains(k.read("fledge.lock"), want) {
			t.Errorf("%s is lost:\n%s", want, k.read("fledge.lock"))
		}
	}
}

// TestLockedByHand has --locked refuse an agent whose version is not the one that the recipe names.
func TestLockedByHand(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	toml := rootfs("oci:image", strings.ReplaceAll(latest, `"latest"`, `"v1"`))
	k.must(toml, "amd64")
	k.write("fledge.lock", strings.ReplaceAll(k.read("fledge.lock"), `version = "v1"`, `version = "v0"`))
	k.write("out/image-rootfs.img", "before")
	k.fails(toml, "amd64", locked, "--locked: ", "fledge.lock: ", "run fledge update")
	if k.read("out/image-rootfs.img") != "before" {
		t.Error("it failed, and replaced the image")
	}
}
