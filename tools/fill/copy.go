//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/fill/wire"
)

// copier copies a tree to another file system, in the order of the names, each as bytes.
type copier struct {
	console  io.Writer
	reported time.Time
	entries  int64
	bytes    int64
	dropped  wire.Dropped
	links    map[uint64]*hardLink // by the source's inode number
	// reserve has data get its place on the disk in the order of the tree, and not when the kernel finds time to write it: an
	// xfs is then the same in every run. A btrfs is not, whatever the order, as the kernel's threads write its trees.
	reserve bool
	mount   int            // the target's root
	buf     []byte         // of data
	xattrs  [64 << 10]byte // names and then values: the kernel has none that are longer
}

// hardLink is a file with several names, of which some are still to come.
type hardLink struct {
	file unix.FileHandle // in the target
	left uint64          // names to come
}

func newCopier(console io.Writer, kind string) *copier {
	return &copier{console: console, reserve: kind == "xfs", links: map[uint64]*hardLink{}, buf: make([]byte, 1<<20)}
}

// place is a file as its directory knows it: in the source, in the target, and for messages.
type place struct {
	src, dst int // the directory's descriptors
	name     string
	path     string
}

// errorf adds what was done to which file.
func (p place) errorf(what string, err error) error {
	return fmt.Errorf("%q: %s: %w", p.path, what, err)
}

// tree copies all that is in the directory from to the directory to, and the directory's attributes.
func (c *copier) tree(from, to string) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	src, err := unix.Open(from, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	dst, err := unix.Open(to, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	c.mount = dst
	root := place{src, dst, ".", "/"}
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return root.errorf("read its attributes", err)
	}
	if err := c.children(root); err != nil {
		return err
	}
	return c.attributes(root, &st)
}

// children copies what is in a directory.
func (c *copier) children(dir place) error {
	src, err := unix.Openat(dir.src, dir.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return dir.errorf("open", err)
	}
	f := os.NewFile(uintptr(src), dir.path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return dir.errorf("list", err)
	}
	dst, err := unix.Openat(dir.dst, dir.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return dir.errorf("open", err)
	}
	defer unix.Close(dst)
	slices.Sort(names)
	prefix := dir.path
	if prefix != "/" {
		prefix += "/"
	}
	for _, name := range names {
		if err := c.entry(place{src, dst, name, prefix + name}); err != nil {
			return err
		}
	}
	return nil
}

// entry copies one name with all that belongs to it.
func (c *copier) entry(p place) error {
	c.entries++
	c.tell()
	var st unix.Stat_t
	if err := unix.Fstatat(p.src, p.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return p.errorf("read its attributes", err)
	}
	kind := st.Mode & unix.S_IFMT
	if link := c.links[st.Ino]; link != nil {
		return c.link(p, st.Ino, link)
	}
	if err := c.create(p, &st); err != nil {
		return err
	}
	if kind == unix.S_IFDIR {
		if err := c.children(p); err != nil {
			return err
		}
	} else if st.Nlink > 1 {
		if err := c.remember(p, &st); err != nil {
			return err
		}
	}
	return c.attributes(p, &st)
}

// create makes the file with its data, for root alone to see.
func (c *copier) create(p place, st *unix.Stat_t) error {
	switch kind := st.Mode & unix.S_IFMT; kind {
	case unix.S_IFREG:
		return c.regular(p, st.Size)
	case unix.S_IFDIR:
		if err := unix.Mkdirat(p.dst, p.name, 0o700); err != nil {
			return p.errorf("make the directory", err)
		}
	case unix.S_IFLNK:
		n, err := unix.Readlinkat(p.src, p.name, c.buf)
		if err != nil {
			return p.errorf("read the symlink", err)
		}
		err = unix.Symlinkat(string(c.buf[:n]), p.dst, p.name)
		if errors.Is(err, unix.ENAMETOOLONG) {
			return fmt.Errorf("%q: the file system cannot hold a symlink with a target of %d bytes: xfs takes 1023; shorten it, "+
				"or use another file system", p.path, n)
		}
		if err != nil {
			return p.errorf("make the symlink", err)
		}
	default:
		err := unix.Mknodat(p.dst, p.name, kind|0o600, int(st.Rdev))
		if errors.Is(err, unix.EINVAL) && (kind == unix.S_IFCHR || kind == unix.S_IFBLK) {
			return fmt.Errorf("%q: the file system cannot hold the device %d:%d: the major number of one of xfs is at most 511, the "+
				"minor number at most 262143; leave it out, or use another file system",
				p.path, unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
		}
		if err != nil {
			return p.errorf("make the node", err)
		}
	}
	return nil
}

// remember keeps where a file with several names is. A handle leads to it however long its path is.
func (c *copier) remember(p place, st *unix.Stat_t) error {
	handle, _, err := unix.NameToHandleAt(p.dst, p.name, 0)
	if err != nil {
		return p.errorf("find again", err)
	}
	c.links[st.Ino] = &hardLink{handle, uint64(st.Nlink) - 1}
	return nil
}

// link makes another name of a file.
func (c *copier) link(p place, ino uint64, l *hardLink) error {
	fd, err := unix.OpenByHandleAt(c.mount, l.file, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return p.errorf("find what it is a hard link to", err)
	}
	defer unix.Close(fd)
	if err := unix.Linkat(fd, "", p.dst, p.name, unix.AT_EMPTY_PATH); err != nil {
		return p.errorf("make the hard link", err)
	}
	if l.left--; l.left == 0 {
		delete(c.links, ino)
	}
	return nil
}

// attributes gives the file its owner, mode, extended attributes and times, in this order: a change of the owner takes
// capabilities and set-user-ID bits away.
func (c *copier) attributes(p place, st *unix.Stat_t) error {
	if err := unix.Fchownat(p.dst, p.name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return p.errorf("set the owner", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(p.dst, p.name, st.Mode&0o7777, 0); err != nil {
			return p.errorf("set the mode", err)
		}
	}
	if err := c.copyXattrs(p); err != nil {
		return err
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	if err := unix.UtimesNanoAt(p.dst, p.name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return p.errorf("set the times", err)
	}
	return nil
}

// tell reports how far the copy is, once a second.
func (c *copier) tell() {
	if now := time.Now(); now.Sub(c.reported) >= time.Second {
		c.reported = now
		report(c.console, wire.Report{Entries: c.entries, Bytes: c.bytes})
	}
}
