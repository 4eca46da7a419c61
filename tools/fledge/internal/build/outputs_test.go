package build

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
)

// contents reads the files of an image, by their paths.
func contents(t *testing.T, image string) map[string]string {
	t.Helper()
	im, err := imagefile.Open(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if err := im.Verify(); err != nil {
		t.Errorf("%s: %v", image, err)
	}
	all := map[string]string{}
	for e, err := range im.Walk(".") {
		if err != nil {
			t.Fatal(err)
		}
		content := e.Target
		if e.TypeName() == "file" {
			r, err := im.Open(e)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			content = string(b)
		}
		all[e.Path] = content
	}
	return all
}

// outputs are the names of what was made, which must have the sizes and digests that the result says.
func (k *kit) outputs(r *Result) (names []string) {
	k.t.Helper()
	for _, a := range r.Artifacts {
		b, err := os.ReadFile(a.Path)
		if err != nil {
			k.t.Fatal(err)
		}
		if digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b)); digest != a.Digest || int64(len(b)) != a.Size {
			k.t.Errorf("%s is %s of %d bytes, and the result says %+v", a.Path, digest, len(b), a)
		}
		names = append(names, a.Kind+" "+filepath.Base(a.Path))
	}
	return names
}

// packed are the names of the layers that were packed anew.
func (r *Result) packed() (names []string) {
	for _, l := range r.Layers {
		if !l.Cached {
			names = append(names, l.Name)
		}
	}
	return names
}

// TestRootfs builds for both architectures: the image, the agent and the init are those of the machine.
func TestRootfs(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	k.write("site/a/b", "page")
	k.write("note", "note")
	for _, arch := range archs {
		toml := rootfs("oci:image", local(arch)) + "[mappings]\n\"site\" = \"/srv\"\n\"note\" = \"/etc/\"\n"
		r := k.must(toml, arch)
		if got, want := k.outputs(r), []string{
			"rootfs image-rootfs.img", "initramfs image-rootfs.initramfs.cpio.gz", "manifest image.manifest.json",
		}; !slices.Equal(got, want) {
			t.Errorf("outputs %q, want %q", got, want)
		}
		files := contents(t, r.Artifacts[0].Path)
		for path, want := range map[string]string{
			"usr/bin/server": string(program(arch, 5000)), "bin/kestrel": string(program(arch, 2000)), "etc/content": "one",
			"srv/a/b": "page", "etc/note": "note",
		} {
			if files[path] != want {
				t.Errorf("%s: /%s has %d bytes %.20q, want %d", arch, path, len(files[path]), files[path], len(want))
			}
		}
		if init := contents(t, r.Artifacts[1].Path)["init"]; init != string(program(arch, 1000)) {
			t.Errorf("%s: /init has %d bytes", arch, len(init))
		}
		var m struct {
			RootFS, Initramfs struct{ URL, Checksum string }
		}
		if err := json.Unmarshal([]byte(k.read("out/image.manifest.json")), &m); err != nil {
			t.Fatal(err)
		}
		if m.RootFS.URL != "image-rootfs.img" || m.RootFS.Checksum != r.Artifacts[0].Digest || m.Initramfs.Checksum != r.Artifacts[1].Digest {
			t.Errorf("manifest %+v of %+v", m, r.Artifacts)
		}
		again := k.must(toml, arch, locked)
		if len(again.packed()) > 0 || fmt.Sprint(again.Artifacts) != fmt.Sprint(r.Artifacts) {
			t.Errorf("%s: nothing changed, and %q were packed; %+v, before %+v", arch, again.packed(), again.Artifacts, r.Artifacts)
		}
	}
	k.layout("old", "one", "amd64")
	k.fails(rootfs("oci:old", local("arm64")), "arm64", func(*Options) {}, "oci:old: ", "holds no image for linux/arm64, only ")
	k.fails(rootfs("oci:image", local("amd64")), "arm64", func(*Options) {},
		"fledge.toml: the agent: ", "kestrel-amd64 is a program for another machine than arm64; build for another with --arch")
	k.fails(rootfs("oci:image", "source_strategy = \"http\"\nurl = \"@FILES@/kestrel\"\n"), "arm64", func(*Options) {},
		"kestrel: ", "is a program for another machine than arm64")
}

// TestChanges packs again what has changed, and nothing else.
func TestChanges(t *testing.T) {
	k := newKit(t)
	k.layout("image", "one")
	k.write("site/a", "one")
	toml := rootfs("oci:image", local("amd64")) + "[mappings]\n\"site\" = \"/srv\"\n"
	first := k.must(toml, "amd64")
	k.write("site/a", "two")
	r := k.must(toml, "amd64")
	if got := r.packed(); !slices.Equal(got, []string{"mappings"}) || contents(t, r.Artifacts[0].Path)["srv/a"] != "two" {
		t.Errorf("a file changed, and %q were packed", got)
	}
	k.write("site/a", "one")
	if r := k.must(toml, "amd64"); len(r.packed()) > 0 || r.Artifacts[0].Digest != first.Artifacts[0].Digest {
		t.Errorf("it is as at first, and %q were packed", r.packed())
	}
	k.layout("image", "two")
	k.fails(toml, "amd64", locked, "oci:image is locked at ", "build without --locked")
	r = k.must(toml, "amd64")
	if got := r.packed(); !slices.Equal(got, []string{"layer 2 of 2"}) || contents(t, r.Artifacts[0].Path)["etc/content"] != "two" {
		t.Errorf("a layer changed, and %q were packed", got)
	}
	k.must(toml, "amd64", locked)
	k.write("kestrel-amd64", string(program("amd64", 2500)))
	if got := k.must(toml, "amd64").packed(); !slices.Equal(got, []string{"agent"}) {
		t.Errorf("the agent changed, and %q were packed", got)
	}
	if got := k.must(strings.ReplaceAll(toml, "level = 1", "level = 2"), "amd64").packed(); len(got) != 4 {
		t.Errorf("the level changed, and %q were packed", got)
	}
}

// TestInitramfs builds with each kind of init.
func TestInitramfs(t *testing.T) {
	k := newKit(t)
	k.write("app", string(program("arm64", 100)))
	const busybox = "[source]\nbusybox_url = \"@FILES@/busybox-arm64\"\n"
	for name, c := range map[string]struct {
		toml, app string
		has       map[string]int // sizes of files, -1 for none
	}{
		"default": {"[agent]\n" + latest + busybox, "/usr/bin/server", map[string]int{"bin/kestrel": 3003, "init": 1000}},
		"path":    {"[init]\npath = \"/sbin/app\"\n" + busybox, "/sbin/app", map[string]int{"bin/kestrel": -1, "init": 1000, "sbin/app": 100}},
		"none":    {"[init]\nnone = true\n" + busybox, "/init", map[string]int{"bin/kestrel": -1, "init": 100}},
	} {
		head := "version = \"1\"\nstrategy = \"initramfs\"\n" + c.toml
		if name != "default" {
			k.fails(head, "arm64", func(*Options) {}, " is not an executable file of the image")
		}
		if err := os.Chmod(filepath.Join(k.dir, "app"), 0o755); err != nil {
			t.Fatal(err)
		}
		toml := head + "[mappings]\n\"app\" = \"" + c.app + "\"\n"
		r := k.must(toml, "arm64")
		if got, want := k.outputs(r), []string{"initramfs app.cpio.gz", "manifest app.manifest.json"}; !slices.Equal(got, want) {
			t.Errorf("%s: outputs %q, want %q", name, got, want)
		}
		files := contents(t, r.Artifacts[0].Path)
		c.has["bin/busybox"] = len(release("v1").Files["busybox-arm64"])
		for path, want := range c.has {
			if content, ok := files[path]; ok != (want >= 0) || ok && len(content) != want {
				t.Errorf("%s: /%s has %d bytes, want %d", name, path, len(content), want)
			}
		}
		if files["bin/ls"] != "busybox" && files["bin/ls"] != "/bin/busybox" {
			t.Errorf("%s: /bin/ls is %.50q", name, files["bin/ls"])
		}
		if again := k.must(toml, "arm64", locked); len(again.packed()) > 0 || again.Artifacts[0].Digest != r.Artifacts[0].Digest {
			t.Errorf("%s: nothing changed, and %q were packed", name, again.packed())
		}
	}
	k.fails("version = \"1\"\nstrategy = \"initramfs\"\n[agent]\n"+latest, "arm64", func(*Options) {},
		"there is no busybox for arm64 by default: give busybox_url and busybox_sha256")
}

// TestAllOrNone fails at one output: those that had their names already have the earlier build's content again, or are gone.
func TestAllOrNone(t *testing.T) {
	for broken, outputs := 0, []Artifact{{Path: "new.img"}, {Path: "old.img"}, {Path: "manifest.json"}}; broken <= len(outputs); broken++ {
		k := &kit{t: t, dir: t.TempDir()}
		k.write("old.img", "earlier")
		k.write("manifest.json", "earlier")
		for i, a := range outputs {
			if i != broken {
				k.write("temp/"+a.Path, "fresh")
			}
		}
		err := (&task{Options: Options{Dir: k.dir}, temp: filepath.Join(k.dir, "temp")}).nameOutputs(slices.Clone(outputs))
		if broken == len(outputs) {
			if err != nil || k.read("new.img")+k.read("old.img")+k.read("manifest.json") != "freshfreshfresh" {
				t.Errorf("all are there: %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), outputs[broken].Path+": no such file") {
			t.Errorf("output %d: error %v", broken, err)
		}
		if _, gone := os.Stat(filepath.Join(k.dir, "new.img")); gone == nil || k.read("old.img")+k.read("manifest.json") != "earlierearlier" {
			t.Errorf("output %d: new.img: %v, and of the earlier build there are %q and %q", broken, gone, k.read("old.img"), k.read("manifest.json"))
		}
	}
}
