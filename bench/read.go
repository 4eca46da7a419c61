package main

import (
	"errors"
	"os"
)

// Names of the tasks about reading.
const (
	readOwn  = "fledge's image"
	readPeer = "mksquashfs's image"
)

// readAll mounts the image $1 on the folder $2, three times so that a run takes seconds, and reads every file: a new mount has
// nothing of the files in memory, while the image itself stays in the page cache.
const readAll = `set -e
mkdir -p "$2"
trap 'umount "$2"' EXIT
for i in 1 2 3; do
  mount -t squashfs -o loop,ro "$1" "$2"
  find "$2" -xdev -type f -print0 | xargs -0 cat >/dev/null
  [ $i = 3 ] || umount "$2"
done`

// readGroup is reading the images of one setting, which tasks of t.compare make, through the host's kernel.
func readGroup(d folder, s setting) (group, error) {
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return group{}, errors.New("no loop devices")
	}
	read := func(name, image string) task {
		return task{name: name, steps: []step{{"sh", "-c", readAll, "sh", image, d.file("mounted")}}}
	}
	return group{
		"Reading every file of the mounted image three times, " + s.String(), "reading", "", readPeer,
		[]task{read(readOwn, d.file("%s.img", s.slug())), read(readPeer, d.peer(s))},
	}, nil
}
