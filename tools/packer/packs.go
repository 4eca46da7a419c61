package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// packFiles are the packs at paths, base layer first; a folder stands for the packs in it.
func packFiles(paths []string) (files []string, err error) {
	for _, path := range paths[firstCounting(paths):] {
		found := []string{path}
		if info, err := os.Stat(path); err != nil {
			return nil, err
		} else if info.IsDir() {
			if found, err = packsIn(path); err != nil {
				return nil, err
			}
		}
		files = append(files, found...)
	}
	return files, nil
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
