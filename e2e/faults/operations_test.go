package faults

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/tempfile"
)

// operation is a run of a program that makes outputs in a folder.
type operation struct {
	name    string
	args    func(dir string) []string
	outputs []string                     // below the folder, in the order in which they get their names
	prepare func(t *testing.T, d string) // puts inputs into the folder; may be nil
	once    bool                         // it makes only what is not there
	kills   int                          // in testKilled
}

// kept is the folder of an operation with what is kept between its runs; partial is where unfinished downloads are.
const (
	kept    = "store"
	partial = "store/partial"
)

// packerOperations are packer's commands, on inputs that are made here.
func (k *kit) packerOperations(t *testing.T) []operation {
	t.Helper()
	inputs := t.TempDir()
	levels := map[string]string{"squashfs": "3", "erofs": "0", "ext4": "0", "initramfs": "1"} // for runs that are quick
	at := func(name string) string { return filepath.Join(inputs, name) }
	packs := func(kind string) (flags []string) {
		for i, layer := range k.layers {
			pack := at(kind + string(rune('0'+i)) + ".pack")
			k.must(t, []string{k.packer, "pack", "--for", kind, "--level", levels[kind], "--layer", layer, "--out", pack})
			flags = append(flags, "--pack", pack)
		}
		return flags
	}
	writeFile(t, at("manifest.toml"), manifestTOML)
	writeFile(t, at("digest"), "sha256:"+strings.Repeat("0", 64)+"\n")
	op := func(kills int, name string, outputs []string, args ...string) operation {
		return operation{name: "packer " + name, outputs: outputs, kills: kills, args: func(dir string) []string {
			all := append([]string{k.packer}, args...)
			for i := range all {
				all[i] = strings.ReplaceAll(all[i], "DIR/", dir+"/")
			}
			return all
		}}
	}
	image := func(filesystem string, more ...string) []string {
		args := []string{"rootfs", "--filesystem", filesystem, "--out", "DIR/out.img", "--digest-out", "DIR/out.digest"}
		return append(append(args, packs(filesystem)...), more...)
	}
	imageOutputs := []string{"out.digest", "out.img"}
	withVerity := append(slices.Clone(imageOutputs), "out.verity.json")
	return []operation{
		op(9, "pack for squashfs", []string{"out.pack"}, "pack", "--level", "3", "--layer", k.layers[0], "--out", "DIR/out.pack"),
		op(9, "pack for erofs", []string{"out.pack"}, "pack", "--for", "erofs", "--layer", k.layers[0], "--out", "DIR/out.pack"),
		once(op(9, "pack-layout", []string{"packs", "config.json"}, "pack-layout", "--level", "3",
			"--layout", k.layout, "--out-dir", "DIR/packs", "--config-out", "DIR/config.json")),
		op(9, "rootfs squashfs", withVerity, image("squashfs", "--level", "3", "--verity-out", "DIR/out.verity.json")...),
		op(9, "rootfs erofs", withVerity, image("erofs", "--verity-out", "DIR/out.verity.json")...),
		op(9, "rootfs ext4", imageOutputs, image("ext4", "--size-buffer-mb", "1", "--journal")...),
		op(9, "initramfs", []string{"out.size", "out.digest", "out.cpio.gz"}, append([]string{"initramfs", "--out", "DIR/out.cpio.gz",
			"--digest-out", "DIR/out.digest", "--unpacked-out", "DIR/out.size"}, packs("initramfs")...)...),
		op(9, "manifest", []string{"out.json"}, "manifest", "--toml", at("manifest.toml"),
			"--rootfs", "app.img", "--rootfs-digest", at("digest"), "--out", "DIR/out.json"),
	}
}

func once(o operation) operation { o.once = true; return o }

const manifestTOML = `
name = "app"
version = "1.0.0"
runtime = "fledge"
[workload]
type = "exec"
entrypoint = ["/usr/bin/app"]
`

const fledgeTOML = `
version = "1"
strategy = "oci_rootfs"
[agent]
source_strategy = "local"
path = "kestrel"
[source]
image = "IMAGE"
[filesystem]
FILESYSTEM
`

// fledgeOperation is fledge build, of the image in the registry, with a store of its own.
func (k *kit) fledgeOperation(filesystem string, kills int) operation {
	outputs := []string{"out/app.img", "out/app.initramfs.cpio.gz", "out/app.manifest.json"}
	if strings.Contains(filesystem, "verity") {
		outputs = slices.Insert(outputs, 1, "out/app.verity.json")
	}
	return operation{name: "fledge build " + strings.Split(filesystem, `"`)[1], outputs: outputs, kills: kills,
		args: func(dir string) []string {
			return []string{k.fledge, "build", "--config", filepath.Join(dir, "project/fledge.toml"), "--arch", "amd64",
				"--output", filepath.Join(dir, "out/app"), "--cache", filepath.Join(dir, kept)}
		},
		prepare: func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, "project/fledge.toml"),
				strings.NewReplacer("IMAGE", k.registry+"/app:1", "FILESYSTEM", filesystem).Replace(fledgeTOML))
			writeFile(t, filepath.Join(dir, "project/manifest.toml"), manifestTOML)
			agent, err := os.ReadFile(k.agent)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "project/kestrel"), string(agent))
		},
	}
}

// squashfs is what the recipe of most builds says of the file system.
const squashfs = "type = \"squashfs\"\ncompression_level = 3\n"

// folder is a new folder with the inputs of an operation.
func (o *operation) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if o.prepare != nil {
		o.prepare(t, dir)
	}
	return dir
}

// reset removes what runs of the operation made and, where a killed process left something else, leaves that.
func (o *operation) reset(t *testing.T, dir string) {
	t.Helper()
	for _, made := range append([]string{kept, "project/fledge.lock"}, o.outputs...) {
		if err := os.RemoveAll(filepath.Join(dir, made)); err != nil {
			t.Fatal(err)
		}
	}
}

// undisturbed runs the operation in a folder of its own, and gives what is there then, and how long a second run takes.
func (k *kit) undisturbed(t *testing.T, o operation) (want map[string]string, took time.Duration) {
	t.Helper()
	dir := o.folder(t)
	k.must(t, o.args(dir))
	want = contents(t, dir)
	for _, output := range o.outputs {
		if _, ok := want[output]; !ok {
			t.Fatalf("%s is not made", output)
		}
	}
	o.reset(t, dir)
	began := time.Now()
	k.must(t, o.args(dir))
	took = time.Since(began)
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Fatalf("undisturbed runs differ (-first +second):\n%s", diff)
	}
	return want, took
}

// checkWhole holds that all files with a final name are as an undisturbed run makes them, and that folders that appear whole
// are. others are temporary files and unfinished downloads.
func (o *operation) checkWhole(t *testing.T, dir string, want map[string]string) (others []string) {
	t.Helper()
	got := contents(t, dir)
	for name, digest := range got {
		switch wanted, ok := want[name]; {
		case isTemporary(name), strings.HasPrefix(name, partial+"/"):
			others = append(others, name)
		case !ok || digest != wanted:
			t.Errorf("%s is not what an undisturbed run makes, or nothing that it makes", name)
		}
	}
	for _, output := range o.outputs {
		if _, there := got[output]; !there {
			continue
		}
		for name := range want {
			if _, ok := got[name]; strings.HasPrefix(name, output+"/") && !ok {
				t.Errorf("%s is there without %s", output, name)
			}
		}
	}
	slices.Sort(others)
	return others
}

func isTemporary(name string) bool { return slices.ContainsFunc(strings.Split(name, "/"), tempfile.Is) }

// checkAll holds that a folder has what an undisturbed run makes, and nothing else.
func checkAll(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("(-undisturbed +now):\n%s", diff)
	}
}

// keptOnly is what an undisturbed run keeps between builds.
func keptOnly(want map[string]string) map[string]string {
	all := maps.Clone(want)
	maps.DeleteFunc(all, func(name, _ string) bool { return name != kept && !strings.HasPrefix(name, kept+"/") })
	return all
}
