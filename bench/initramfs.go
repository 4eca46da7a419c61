package main

import (
	"fmt"
	"os/exec"
	"runtime"
)

// Names of the tasks about initramfs images; each is followed by a compressor.
const (
	ramCold = "fledge initramfs, cold"
	ramApp  = "fledge initramfs, app layer changed"
	ramPeer = "find + cpio"
)

// ramSetting is a compressor of initramfs images and the program that peers compress with.
type ramSetting struct {
	name  string
	level int
	peer  string // reads and writes standard streams
}

func ramSettings() []ramSetting {
	cores := runtime.NumCPU()
	return []ramSetting{
		{"gzip", 9, fmt.Sprintf("pigz -9 -p%d", cores)},
		{"gzip", 6, fmt.Sprintf("pigz -6 -p%d", cores)},
		{"zstd", 15, fmt.Sprintf("zstd -q -15 -T%d", cores)},
		{"zstd", 3, fmt.Sprintf("zstd -q -3 -T%d", cores)},
	}
}

func (s ramSetting) String() string { return fmt.Sprintf("%s %d", s.name, s.level) }

// compareInitramfs measures initramfs images of the corpus against find | cpio | compressor on the unpacked tree.
func compareInitramfs(o options, t tools, d folder, c corpusFiles) error {
	for _, program := range []string{"cpio", "pigz", "zstd"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (apt install %s)", err, program)
		}
	}
	for _, s := range ramSettings() {
		all := map[string]figures{}
		peer := ramPeer + " + " + s.peer
		if err := report("initramfs, "+s.String(), t.ramTasks(d, c, s, peer), o.rounds, peer, all); err != nil {
			return err
		}
	}
	return nil
}

// ramTasks are the tasks of one setting; the first makes the packs that the second links.
func (t tools) ramTasks(d folder, c corpusFiles, s ramSetting, peer string) []task {
	flags := []string{"--compression", s.name, "--level", fmt.Sprint(s.level)}
	pack := func(layer, pack string) step {
		return append(step{t.packer, "pack", "--for", "initramfs", "--layer", layer, "--out", pack}, flags...)
	}
	image := d.file("ram.%s%d", s.name, s.level)
	link := append(step{t.packer, "initramfs", "--out", image, "--digest-out", image + ".sha256"}, flags...)
	cold := task{name: ramCold + ", " + s.String(), output: image}
	var packs []string
	for i, blob := range c.blobs {
		packs = append(packs, fmt.Sprintf("%s.%d.pack", image, i))
		cold.steps = append(cold.steps, pack(blob, packs[i]))
		link = append(link, "--pack", packs[i])
	}
	cold.steps = append(cold.steps, link)
	app := len(packs) - 1
	out := d.file("peer.cpio")
	return []task{
		cold,
		{name: ramApp + ", " + s.String(), output: image, steps: []step{pack(c.blobs[app], packs[app]), link}},
		{name: peer, output: out, steps: []step{{
			"sh", "-c", `cd "$1" && find . | cpio -o -H newc --quiet | ` + s.peer + ` >"$2"`, "sh", c.tree, out,
		}}},
	}
}
