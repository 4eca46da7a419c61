package main

import (
	"archive/tar"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fledge-build/fledge/e2e/layers"
)

const (
	baseBytes = 60 << 20 // of a small base; the large one has ten of them
	manyFiles = 1_000_000
)

// growthTasks are the tasks of the goal about growth. They pack layers of noise, which is quick at level 1.
func (t tools) growthTasks(d folder) ([]task, error) {
	s := setting{"zstd", 1, 128 << 10}
	var bases []string
	for i := range 10 {
		pack := d.file("base%d.pack", i)
		if err := t.packOnce(d, s, pack, layers.Noise(fmt.Sprintf("layer%d", i), "", baseBytes)); err != nil {
			return nil, err
		}
		bases = append(bases, pack)
	}
	appTar, appPack := d.file("app.tar"), d.file("app.pack")
	if err := layers.WriteTar(appTar, layers.Noise("app", "", 10<<20)); err != nil {
		return nil, err
	}
	million := d.file("million.pack")
	if err := t.packOnce(d, s, million, manyFilesLayer); err != nil {
		return nil, err
	}
	change := func(name string, packs []string) []task {
		image, copied := d.file("%s.img", name), d.file("copied.img")
		return []task{
			{
				name:   name + ", app layer changed",
				output: image,
				steps:  []step{t.pack(s, appTar, appPack), t.link(s, image, append(packs[:len(packs):len(packs)], appPack)...)},
			},
			copyAndHash(name+", "+copyHash, image, copied),
		}
	}
	image := d.file("million.img")
	list := append(change(smallBase, bases[:1]), change(largeBase, bases)...)
	return append(list, task{name: millionLink, output: image, steps: []step{t.link(s, image, million)}}), nil
}

// Names of the tasks about growth.
const (
	smallBase   = "60 MB base"
	largeBase   = "600 MB base"
	millionLink = "link of 1,000,000 files"
)

// packOnce packs a layer outside of the measurement.
func (t tools) packOnce(d folder, s setting, pack string, layer layers.Layer) error {
	file := d.file("layer.tar")
	if err := layers.WriteTar(file, layer); err != nil {
		return err
	}
	defer os.Remove(file)
	_, err := task{name: "preparation", steps: []step{t.pack(s, file, pack)}}.run()
	return err
}

var layerTime = time.Unix(1700000000, 0)

// manyFilesLayer is a million small files, a thousand a folder.
func manyFilesLayer(w *layers.Writer) error {
	for i := range manyFiles {
		content := fmt.Sprintf("file %d of many\n", i)
		h := &tar.Header{
			Name: fmt.Sprintf("many/%d/%d", i/1000, i), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), ModTime: layerTime,
		}
		if err := w.Add(h, strings.NewReader(content)); err != nil {
			return err
		}
	}
	return nil
}
