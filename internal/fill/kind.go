package fill

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Kinds of file systems.
const (
	XFS   = "xfs"
	Btrfs = "btrfs"
)

// kind is what there is to know of a file system.
type kind struct {
	name, pkg string
	minimum   int64 // size in bytes that mkfs makes without special options
	// overhead is what it takes beside the tree and the buffer, for a tree of so many bytes and inodes: logs, tables,
	// reserves. Rather too much than too little: what is left over is free space.
	overhead func(used, inodes, buffer int64) int64
	options  func(uuid string) []string      // of mkfs, before the file
	fixer    func(f *os.File) (fixer, error) // for what mkfs made, which it may change
}

const mib = 1 << 20

var kinds = []kind{
	{
		name: XFS, pkg: "xfsprogs", minimum: 300 * mib,
		// The log, and the blocks that xfs keeps for times of need, are 64 and at most 32 MiB; inodes have 512 bytes, which the
		// tree's have half of already; of each allocation group some blocks are reserved for its trees.
		overhead: func(used, inodes, buffer int64) int64 {
			return 96*mib + inodes*384 + (used+buffer)/32
		},
		fixer: newXFSFixer,
		options: func(uuid string) []string {
			return []string{
				"-q", "-b", "size=4096", "-s", "size=512", "-i", "size=512,sparse=1", "-d", "noalign",
				"-m", "crc=1,finobt=1,rmapbt=0,reflink=1,bigtime=1,inobtcount=1,uuid=" + uuid,
			}
		},
	},
	{
		name: Btrfs, pkg: "btrfs-progs", minimum: 128 * mib,
		// Space is given to data and to metadata in chunks of a tenth of the whole, of which the last may be nearly empty. A name
		// with its inode takes about 1 KiB of metadata, in nodes that are not full; small files lie there instead of in blocks.
		overhead: func(used, inodes, buffer int64) int64 {
			return 32*mib + inodes*1024 + (used+buffer)/10
		},
		fixer: newBtrfsFixer,
		options: func(uuid string) []string {
			return []string{"-q", "-n", "16384", "-s", "4096", "-m", "single", "-d", "single", "-U", uuid}
		},
	},
}

func kindOf(name string) (kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("file system %q: what a machine fills is %s or %s", name, XFS, Btrfs)
}

// size is that of an image, in bytes.
func (k kind) size(s source, buffer int64) int64 {
	size := max(k.minimum, s.used+buffer+k.overhead(s.used, s.inodes, buffer))
	return (size + mib - 1) / mib * mib
}

// uuid is that of the file system, from the content.
func (k kind) uuid(s source) string {
	b := versionedUUID(sha256.Sum256(fmt.Appendf(nil, "fledge %s\n%x\n", k.name, s.digest)))
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// versionedUUID is a UUID of version 8 (RFC 9562), from a hash.
func versionedUUID(hash [sha256.Size]byte) [16]byte {
	b := [16]byte(hash[:16])
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return b
}

// Variable is the environment variable that names the mkfs of a kind.
func Variable(name string) string { return "FLEDGE_MKFS_" + strings.ToUpper(name) }

// systemFolders are where the programs are that only root usually has on PATH.
var systemFolders = []string{"/usr/sbin", "/sbin", "/usr/local/sbin"}

// FindMkfs returns the program that makes a file system of the kind name: program if it is not empty, else mkfs.xfs or
// mkfs.btrfs on PATH or in the folders for system programs. Where there is none, the error names the package.
func FindMkfs(name, program string) (string, error) {
	k, err := kindOf(name)
	if err != nil {
		return "", err
	}
	mkfs := "mkfs." + name
	if program != "" {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%w: it should be %s, of the package %s", err, mkfs, k.pkg)
		}
		return program, nil
	}
	for _, candidate := range append([]string{mkfs}, inFolders(systemFolders, mkfs)...) {
		switch found, err := exec.LookPath(candidate); {
		case err == nil:
			return found, nil
		case !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, os.ErrNotExist):
			return "", err
		}
	}
	return "", fmt.Errorf("no %s on PATH or in %s: install %s, or set %s to the program's path",
		mkfs, strings.Join(systemFolders, ", "), k.pkg, Variable(name))
}

func inFolders(folders []string, name string) (paths []string) {
	for _, f := range folders {
		paths = append(paths, f+"/"+name)
	}
	return paths
}
