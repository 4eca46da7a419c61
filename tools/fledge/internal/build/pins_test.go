package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/agent/agenttest"
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

// TestNothingToPin has --locked take a recipe that names nothing which a lock could pin, and for which none is written.
func TestNothingToPin(t *testing.T) {
	k := newKit(t)
	k.write("app", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(k.dir, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	toml := "version = \"1\"\nstrategy = \"initramfs\"\n[init]\nnone = true\n[source]\nbusybox_url = \"@FILES@/busybox-amd64\"\nbusybox_sha256 = \"" +
		agenttest.SHA256(release("v1").Files["busybox-amd64"]) + "\"\n[mappings]\n\"app\" = \"/init\"\n"
	k.must(toml, "amd64", locked)
	if slices.Contains(k.files(), "/fledge.lock") {
		t.Error("there is a lock without anything in it")
	}
}
