package main

import (
	"fmt"
	"runtime"
	"strconv"

	"github.com/fledge-build/fledge/e2e/layers"
)

// setting is a compressor with its level and block size, as Fledge and its peers are told.
type setting struct {
	name      string
	level     int
	blockSize int
}

func (s setting) String() string {
	text := s.name
	if s.level > 0 {
		text += " " + strconv.Itoa(s.level)
	}
	return fmt.Sprintf("%s, %dK blocks", text, s.blockSize>>10)
}

func (s setting) slug() string { return fmt.Sprintf("%s%d-%d", s.name, s.level, s.blockSize>>10) }

// flags are the packer's.
func (s setting) flags() []string {
	return []string{
		"--compression", s.name, "--level", strconv.Itoa(s.level), "--block-size", strconv.Itoa(s.blockSize),
	}
}

// mksquashfs are that program's options for the same.
func (s setting) mksquashfs() []string {
	options := []string{"-b", strconv.Itoa(s.blockSize), "-processors", strconv.Itoa(runtime.NumCPU())}
	switch s.name {
	case "none":
		return append(options, "-comp", "gzip", "-noI", "-noD", "-noF", "-noX")
	case "lz4":
		return append(options, "-comp", "lz4", "-Xhc")
	}
	options = append(options, "-comp", s.name)
	if s.level > 0 {
		options = append(options, "-Xcompression-level", strconv.Itoa(s.level))
	}
	return options
}

// tar2sqfs are that program's options for the same, or nil where it has none.
func (s setting) tar2sqfs() []string {
	if s.name == "none" {
		return nil
	}
	options := []string{"-b", strconv.Itoa(s.blockSize), "-j", strconv.Itoa(runtime.NumCPU()), "-c", s.name}
	switch {
	case s.level > 0:
		options = append(options, "-X", fmt.Sprintf("level=%d", s.level))
	case s.name == "lz4":
		options = append(options, "-X", "hc")
	}
	return options
}

var (
	zstd15 = setting{"zstd", 15, 128 << 10}
	zstd3  = setting{"zstd", 3, 128 << 10}
	others = []setting{
		{"zstd", 15, 1 << 20}, {"zstd", 9, 128 << 10}, {"gzip", 9, 128 << 10}, {"xz", 0, 128 << 10}, {"lz4", 0, 128 << 10},
		{"none", 0, 128 << 10},
	}
)

// tools are the programs that are compared; newest and tar2sqfs may be "".
type tools struct {
	packer, mksquashfs, newest, tar2sqfs string
}

// corpusFiles are the forms of the corpus that the tasks start from.
type corpusFiles struct {
	layout string   // OCI layout
	blobs  []string // its layers
	tree   string   // as umoci unpacks it
	tar    string   // the tree as one tar
}

// Names of tasks; each is followed by a setting's name.
const (
	fledgeCold  = "fledge, cold"
	fledgeApp   = "fledge, app layer changed"
	fledgeLink  = "fledge, link alone"
	fledgeFresh = "fledge, all as one layer"
	copyHash    = "cp + sha256sum"
	mksquashfs  = "mksquashfs"
	newest      = "newest mksquashfs"
	tar2sqfs    = "tar2sqfs"
	pipeline    = "skopeo + umoci + mksquashfs"
)

// peer is mksquashfs's image.
func (d folder) peer(s setting) string { return d.file("%s.mksquashfs.img", s.slug()) }

// peer is the task that a setting's ratios are to: the newest mksquashfs.
func (t tools) peer(s setting) string {
	if t.newest != "" {
		return named(newest, s)
	}
	return named(mksquashfs, s)
}

func named(kind string, s setting) string { return kind + ", " + s.String() }

func (t tools) pack(s setting, layer, pack string) step {
	return append(step{t.packer, "pack", "--layer", layer, "--out", pack}, s.flags()...)
}

func (t tools) link(s setting, image string, packs ...string) step {
	args := append(step{t.packer, "rootfs", "--out", image, "--digest-out", image + ".sha256"}, s.flags()...)
	for _, pack := range packs {
		args = append(args, "--pack", pack)
	}
	return args
}

func (t tools) squash(program string, s setting, tree, image string) step {
	return append(step{program, tree, image, "-noappend", "-no-progress", "-quiet"}, s.mksquashfs()...)
}

// squashfsGroups are the tasks about squashfs images, and how an app change grows with the base.
func (t tools) squashfsGroups(o options, d folder, c corpusFiles) ([]group, error) {
	settings := []setting{zstd15, zstd3}
	if o.settings {
		settings = append(settings, others...)
	}
	var groups []group
	for _, s := range settings {
		tasks := t.compare(d, c, s)
		if s == zstd15 || s == zstd3 {
			tasks = append(tasks, t.fresh(d, c, s))
			if o.today {
				tasks = append(tasks, t.today(d, c, s))
			}
		}
		groups = append(groups, group{"squashfs, " + s.String(), "squashfs-" + s.slug(), s.String(), t.peer(s), tasks})
	}
	if o.growth {
		tasks, err := t.growthTasks(d)
		if err != nil {
			return nil, err
		}
		groups = append(groups, group{title: "Growth", tasks: tasks})
	}
	return groups, nil
}

// compare are the tasks of one setting. Their order matters: the first makes the packs that the next two link.
func (t tools) compare(d folder, c corpusFiles, s setting) []task {
	image := d.file("%s.img", s.slug())
	cold := task{name: named(fledgeCold, s), output: image}
	var packs []string
	for i, blob := range c.blobs {
		packs = append(packs, d.file("%s.%d.pack", s.slug(), i))
		cold.steps = append(cold.steps, t.pack(s, blob, packs[i]))
	}
	cold.steps = append(cold.steps, t.link(s, image, packs...))

	linked := d.file("%s.linked.img", s.slug())
	app := len(packs) - 1
	list := []task{
		cold,
		{name: named(fledgeApp, s), output: linked, steps: []step{t.pack(s, c.blobs[app], packs[app]), t.link(s, linked, packs...)}},
		{name: named(fledgeLink, s), output: linked, steps: []step{t.link(s, linked, packs...)}},
		copyAndHash(named(copyHash, s), image, linked),
	}
	list = append(list, task{name: named(mksquashfs, s), output: d.peer(s), steps: []step{t.squash(t.mksquashfs, s, c.tree, d.peer(s))}})
	peer := d.file("peer.img")
	if t.newest != "" {
		list = append(list, task{name: named(newest, s), output: peer, steps: []step{t.squash(t.newest, s, c.tree, peer)}})
	}
	if options := s.tar2sqfs(); t.tar2sqfs != "" && options != nil {
		run := step{"sh", "-c", `tar=$1; shift; exec "$@" <"$tar"`, "sh", c.tar, t.tar2sqfs, "-f", "-q"}
		run = append(append(run, options...), peer)
		list = append(list, task{name: named(tar2sqfs, s), output: peer, steps: []step{run}})
	}
	return list
}

func copyAndHash(name, from, to string) task {
	return task{name: name, output: to, steps: []step{{"cp", from, to}, {"sha256sum", to}}}
}

// today is the way without Fledge, from an OCI layout to an image.
func (t tools) today(d folder, c corpusFiles, s setting) task {
	layout, bundle, peer := d.file("copied"), d.file("bundle"), d.file("peer.img")
	tag := ":" + layers.Tag
	return task{
		name:    named(pipeline, s),
		output:  peer,
		scratch: []string{layout, bundle},
		steps: []step{
			{"skopeo", "copy", "--quiet", "oci:" + c.layout + tag, "oci:" + layout + tag},
			{"umoci", "unpack", "--image", layout + tag, bundle},
			t.squash(t.mksquashfs, s, bundle+"/rootfs", peer),
		},
	}
}

// fresh packs the merged tree as one layer: what a linked image is compared with.
func (t tools) fresh(d folder, c corpusFiles, s setting) task {
	pack, image := d.file("fresh.pack"), d.file("fresh.img")
	return task{
		name:    named(fledgeFresh, s),
		output:  image,
		scratch: []string{pack},
		steps:   []step{t.pack(s, c.tar, pack), t.link(s, image, pack)},
	}
}
