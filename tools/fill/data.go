//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// regular makes a file with the data and the holes of the source's.
func (c *copier) regular(p place, size int64) error {
	in, err := unix.Openat(p.src, p.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return p.errorf("open", err)
	}
	defer unix.Close(in)
	out, err := unix.Openat(p.dst, p.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return p.errorf("make the file", err)
	}
	err = c.data(in, out, size)
	if closeErr := unix.Close(out); err == nil {
		err = closeErr
	}
	if err != nil {
		return p.errorf("copy the data", err)
	}
	return nil
}

// data copies the parts that are not holes, and gives the file its size.
func (c *copier) data(in, out int, size int64) error {
	for at := int64(0); at < size; {
		start, err := unix.Seek(in, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // a hole up to the end
			break
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(in, start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		end = min(end, size)
		if c.reserve {
			if err := unix.Fallocate(out, 0, start, end-start); err != nil {
				return err
			}
		}
		if at, err = c.extent(in, out, start, end); err != nil {
			return err
		}
	}
	return unix.Ftruncate(out, size)
}

// extent copies the bytes from start to end, and returns where it got to.
func (c *copier) extent(in, out int, start, end int64) (int64, error) {
	for start < end {
		n, err := unix.Pread(in, c.buf[:min(int64(len(c.buf)), end-start)], start)
		if err != nil {
			return start, err
		}
		if n == 0 {
			return start, fmt.Errorf("the data ends at %d, before %d", start, end)
		}
		for done := 0; done < n; {
			m, err := unix.Pwrite(out, c.buf[done:n], start+int64(done))
			if err != nil {
				return start, err
			}
			done += m
		}
		start += int64(n)
		c.bytes += int64(n)
		c.tell()
	}
	return start, nil
}

// copyXattrs copies the extended attributes of a file of any kind. Those that the file system does not take are counted.
func (c *copier) copyXattrs(p place) error {
	// A short path that leads to the file itself, a symlink too.
	src, dst := fmt.Sprintf("/proc/self/fd/%d/%s", p.src, p.name), fmt.Sprintf("/proc/self/fd/%d/%s", p.dst, p.name)
	n, err := unix.Llistxattr(src, c.xattrs[:])
	if err != nil {
		return p.errorf("list the extended attributes", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(c.xattrs[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		n, err := unix.Lgetxattr(src, name, c.xattrs[:])
		if err == nil {
			err = unix.Lsetxattr(dst, name, c.xattrs[:n], 0)
		}
		switch {
		case err == nil:
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE), errors.Is(err, unix.E2BIG):
			c.drop(p, name)
		default:
			return p.errorf(fmt.Sprintf("extended attribute %q", name), err)
		}
	}
	return nil
}

func (c *copier) drop(p place, name string) {
	if c.dropped.Count == 0 {
		c.dropped.Name, c.dropped.Path = name, fmt.Sprintf("%q", p.path)
	}
	c.dropped.Count++
}
