package cachedir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// evict writes the index without the caches that were used least recently, as far as the limit asks for that, and
// removes all blobs that none of the others needs. The lock is held.
func (d *Dir) evict(list []entry) error {
	keep := map[string]bool{}
	var total int64
	n := 0
	for ; n < len(list); n++ {
		blobs, size := d.need(list[n], keep)
		if total+size > d.limit {
			break // what comes behind was used less recently
		}
		total += size
		for _, digest := range blobs {
			keep[digest] = true
		}
	}
	// First the index, so that it never names what is gone.
	if err := d.writeIndex(list[:n]); err != nil {
		return err
	}
	files, err := os.ReadDir(d.blobs())
	if err != nil {
		return err
	}
	for _, f := range files {
		if !keep["sha256:"+f.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(d.blobs(), f.Name())))
		}
	}
	return err
}

// need gives the blobs of an entry that are not kept yet, and their size in bytes. What is damaged needs nothing, and
// is found out when it is used.
func (d *Dir) need(e entry, keep map[string]bool) (blobs []string, size int64) {
	all, err := readManifest(d.blob(e.manifest), e.manifest)
	if err != nil {
		return nil, 0
	}
	for _, b := range all {
		if keep[b] {
			continue
		}
		if info, err := os.Stat(d.blob(b)); err == nil {
			size += info.Size()
		}
		blobs = append(blobs, b)
	}
	return blobs, size
}

// drop removes damaged blobs, and the caches that need them.
func (d *Dir) drop(bad map[string]bool) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	list, err := d.readIndex()
	if err != nil {
		list = nil
	}
	list = slices.DeleteFunc(list, func(e entry) bool {
		blobs, err := readManifest(d.blob(e.manifest), e.manifest)
		return err != nil || slices.ContainsFunc(blobs, func(b string) bool { return bad[b] })
	})
	return d.evict(list)
}

// removeStale removes what crashed solves left: a session that lives is locked. The lock is held.
func (d *Dir) removeStale() {
	list, _ := os.ReadDir(d.sessions())
	for _, e := range list {
		name := filepath.Join(d.sessions(), e.Name())
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		if flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(name)
		}
		f.Close()
	}
}
