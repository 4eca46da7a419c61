package main

import (
	"fmt"
	"runtime"
)

// Names of the tasks about initramfs images; each is followed by a compressor.
const (
	ramCold = "fledge initramfs, cold"
	ramApp  = "fledge initramfs, app layer changed"
	ramPeer = "find + cpio + "
)

// ramSetting is a compressor of initramfs images and the programs that peers compress with.
type ramSetting struct {
	name  string
	level int
	peers []string // read and write standard streams; ratios are to the first
}

func ramSettings() []ramSetting {
	cores := runtime.NumCPU()
	return []ramSetting{
		{"gzip", 9, []string{fmt.Sprintf("pigz -9 -p%d", cores), "gzip -9"}},
		{"gzip", 6, []string{fmt.Sprintf("pigz -6 -p%d", cores)}},
		{"gzip", 4, []string{fmt.Sprintf("pigz -4 -p%d", cores)}},
		{"zstd", 15, []string{fmt.Sprintf("zstd -q -15 -T%d", cores)}},
		{"zstd", 3, []string{fmt.Sprintf("zstd -q -3 -T%d", cores)}},
	}
}

func (s ramSetting) String() string { return fmt.Sprintf("%s %d", s.name, s.level) }

// ramGroups are initramfs images of the corpus against find | cpio | compressor on the unpacked tree.
func (t tools) ramGroups(d folder, c corpusFiles) (groups []group, err error) {
	if err := need(map[string]string{"cpio": "cpio", "pigz": "pigz", "zstd": "zstd"}); err != nil {
		return nil, err
	}
	for _, s := range ramSettings() {
		tasks := t.ramTasks(d, c, s)
		slug := fmt.Sprintf("initramfs-%s%d", s.name, s.level)
		groups = append(groups, group{"initramfs, " + s.String(), slug, s.String(), ramPeer + s.peers[0], tasks})
	}
	return groups, nil
}

// ramTasks are the tasks of one setting; the first makes the packs that the second links.
func (t tools) ramTasks(d folder, c corpusFiles, s ramSetting) []task {
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
	list := []task{
		cold,
		{name: ramApp + ", " + s.String(), output: image, steps: []step{pack(c.blobs[app], packs[app]), link}},
	}
	out := d.file("peer.cpio")
	for _, peer := range s.peers {
		list = append(list, task{name: ramPeer + peer, output: out, steps: []step{{
			"sh", "-c", `cd "$1" && find . | cpio -o -H newc --quiet | ` + peer + ` >"$2"`, "sh", c.tree, out,
		}}})
	}
	return list
}
