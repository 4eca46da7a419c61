package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// Names of the tasks about EROFS and ext4; each is followed by an imageKind's name.
const (
	fsCold  = "fledge, cold"
	fsPlain = "fledge, cold, from uncompressed layers"
	fsApp   = "fledge, app layer changed"
	fsLink  = "fledge, link alone"
	fsPeer  = "from a tree: "
	fsToday = "umoci + "
)

// imageKind is a file system, and the program that makes it from a folder.
type imageKind struct {
	name  string
	flags []string // of packer pack and packer rootfs, besides the file system's
	peer  string   // its name in tables
	make  string   // shell: makes the image $2 from the folder $1; $3 is Fledge's image
	limit float64  // goal for the time of Fledge's cold image, in that of the peer
}

// mkfsErofs leaves out names of 255 bytes, for which mkfs.erofs 1.5 fails.
const mkfsErofs = "mkfs.erofs --quiet --exclude-regex='[^/]{255}' "

var imageKinds = []imageKind{
	{"erofs", []string{"--compression", "none"}, "mkfs.erofs", mkfsErofs + `"$2" "$1"`, 1},
	{"erofs", []string{"--compression", "lz4"}, "mkfs.erofs -zlz4hc -C65536", mkfsErofs + `-zlz4hc -C65536 "$2" "$1"`, 1},
	{"ext4", nil, "mke2fs -d", `mke2fs -q -F -t ext4 -O ^has_journal -b 4096 -d "$1" "$2" $(($(stat -c %s "$3") / 4096))`, 0.7},
}

func (k imageKind) String() string {
	if len(k.flags) == 0 {
		return k.name
	}
	return k.name + " " + k.flags[1]
}

func (k imageKind) slug() string { return strings.ReplaceAll(k.String(), " ", "-") }

// fsGroups are EROFS and ext4 images of the corpus against mkfs.erofs and mke2fs on the unpacked tree.
func (t tools) fsGroups(d folder, c corpusFiles, today bool) (groups []group, err error) {
	if err := need(map[string]string{"mkfs.erofs": "erofs-utils", "mke2fs": "e2fsprogs"}); err != nil {
		return nil, err
	}
	plain, err := decompressAll(d, c.blobs)
	if err != nil {
		return nil, err
	}
	for _, k := range imageKinds {
		groups = append(groups, group{k.String(), k.slug(), k.String(), fsPeer + k.peer, t.fsTasks(d, c, plain, k, today)})
	}
	return groups, nil
}

// decompressAll writes the layers as plain tar files.
func decompressAll(d folder, blobs []string) (files []string, err error) {
	for i, blob := range blobs {
		files = append(files, d.file("plain.%d.tar", i))
		if err := decompress(blob, files[i]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func decompress(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	archive, err := layerpack.Decompress(in, 1<<40)
	if err != nil {
		return err
	}
	defer archive.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, archive); err != nil {
		return err
	}
	return out.Close()
}

// fsTasks are the tasks of one kind. Their order matters: the first makes the packs that others link, and the image that
// has the size of the peer's.
func (t tools) fsTasks(d folder, c corpusFiles, plain []string, k imageKind, today bool) []task {
	pack := func(layer, pack string) step {
		return append(step{t.packer, "pack", "--for", k.name, "--layer", layer, "--out", pack}, k.flags...)
	}
	link := func(image string, packs []string) step {
		s := append(step{t.packer, "rootfs", "--filesystem", k.name, "--out", image, "--digest-out", image + ".sha256"}, k.flags...)
		for _, p := range packs {
			s = append(s, "--pack", p)
		}
		return s
	}
	cold := func(what, image string, layers []string) task {
		run := task{name: what + ", " + k.String(), output: image}
		for i, layer := range layers {
			run.made = append(run.made, fmt.Sprintf("%s.%d.pack", image, i))
			run.steps = append(run.steps, pack(layer, run.made[i]))
		}
		run.steps = append(run.steps, link(image, run.made))
		return run
	}
	image, linked, peer, bundle := d.file("%s.img", k.slug()), d.file("%s.linked.img", k.slug()), d.file("peer.img"), d.file("bundle")
	first := cold(fsCold, image, c.blobs)
	packs, app := first.made, len(first.made)-1
	list := []task{
		first, cold(fsPlain, linked, plain),
		{name: fsApp + ", " + k.String(), output: linked, steps: []step{pack(c.blobs[app], packs[app]), link(linked, packs)}},
		{name: fsLink + ", " + k.String(), output: linked, steps: []step{link(linked, packs)}},
		{name: fsPeer + k.peer, output: peer, steps: []step{{"sh", "-c", k.make, "sh", c.tree, peer, image}}},
	}
	if today {
		list = append(list, task{name: fsToday + k.peer, output: peer, scratch: []string{bundle}, steps: []step{
			{"umoci", "unpack", "--image", c.layout + ":" + layers.Tag, bundle},
			{"sh", "-c", k.make, "sh", bundle + "/rootfs", peer, image},
		}})
	}
	return list
}

// fsGoals judges the figures of fsGroups.
func fsGoals(got map[string]figures) (list []goal) {
	for _, k := range imageKinds {
		peer, ok := got[fsPeer+k.peer]
		if !ok {
			continue
		}
		for _, what := range []string{fsCold, fsPlain} {
			name := what + ", " + k.String()
			list = append(list, goal{k.name, "time of " + name + " / " + k.peer, ratio(got[name].wall, peer.wall), k.limit, "×", name})
		}
		if k.name == "erofs" {
			size := got[fsCold+", "+k.String()].size
			list = append(list, goal{k.name, "size of " + k.String() + " / " + k.peer, ratio(size, peer.size), 1, "×", fsCold + ", " + k.String()})
		}
	}
	return list
}
