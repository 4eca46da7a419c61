package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
)

// openAll opens the packs at paths; a folder stands for the packs in it. With an error it also returns those that it
// opened before.
func openAll[P any](paths []string, open func(string) (P, error)) (packs []P, err error) {
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err != nil {
			return packs, err
		} else if info.IsDir() {
			if files, err = packsIn(path); err != nil {
				return packs, err
			}
		}
		for _, file := range files {
			p, err := open(file)
			if err != nil {
				return packs, err
			}
			packs = append(packs, p)
		}
	}
	return packs, nil
}

// A folder of packs made with --base-config tells by a file of one of these names whether the base's packs, which stand
// before it, count.
const (
	onBase   = "on-base"  // it has the layers upon the base alone, perhaps none
	complete = "complete" // it has all layers: the image has another base
)

// firstCounting is the index of the first of paths that counts: a folder that is complete replaces what is before it.
func firstCounting(paths []string) int {
	for i := len(paths) - 1; i > 0; i-- {
		if exists(filepath.Join(paths[i], complete)) {
			return i
		}
	}
	return 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func packsIn(dir string) (files []string, err error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if strings.HasSuffix(e.Name(), ".pack") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 && !exists(filepath.Join(dir, onBase)) {
		return nil, fmt.Errorf("the folder %s has no layer pack (*.pack)", dir)
	}
	return files, nil
}

// checkRequired looks for the programs without which an image does not boot.
func checkRequired(tree *fstree.Tree, paths []string) error {
	for _, path := range paths {
		if n, _, err := tree.Lookup(path); err != nil || n.Type != fstree.Regular || n.Mode&0o111 == 0 {
			return fmt.Errorf("%s is not an executable file of the image, which does not boot without it; "+
				"add it to a layer or a mapping (with the attribute agent for /bin/kestrel, init for what an initramfs "+
				"runs first), with mode 0755", path)
		}
	}
	return nil
}
