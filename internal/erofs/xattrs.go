package erofs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/posixacl"
)

// xattrPrefixes are the namespaces that erofs knows, with their numbers. The names of access control lists stand for
// themselves.
var xattrPrefixes = []struct {
	prefix string
	number byte
	whole  bool
}{
	{"user.", 1, false}, {posixacl.Access, 2, true}, {posixacl.Default, 3, true},
	{"trusted.", 4, false}, {"security.", 6, false},
}

// Dropped tells of extended attributes that an image cannot hold: those of other namespaces, POSIX ACLs that Linux does not
// accept, and ACLs of files that have none.
type Dropped struct {
	Count int
	Name  string // of the first
	Path  string // of the file that has it
}

// xattrs collects the extended attributes that several inodes have.
type xattrs struct {
	uses   map[string]int    // by encoded entry
	shared map[string]uint32 // encoded entries to their place, in units of 4 bytes
	table  []byte
}

// shareFrom is the size of an entry, in bytes, from which a reference of 4 bytes is worth it.
const shareFrom = 12

// encodeXattrs gives the encoded entries of an inode and tells drop of those that cannot be stored.
func encodeXattrs(n *fstree.Node, drop func(name string)) (encoded []string, err error) {
	for _, x := range n.Xattrs() {
		number, name, ok := splitXattr(x.Name)
		ok = ok && acceptable(n.Type, x)
		switch {
		case !ok:
			drop(x.Name)
			continue
		case len(x.Value) > maxXattrValue:
			return nil, fmt.Errorf("the extended attribute %q has %d bytes, more than the %d that erofs can hold; "+
				"leave it out of the layer", x.Name, len(x.Value), maxXattrValue)
		}
		b := le.AppendUint16([]byte{byte(len(name)), number}, uint16(len(x.Value)))
		b = append(append(b, name...), x.Value...)
		encoded = append(encoded, string(pad(b, 4)))
	}
	return encoded, nil
}

// acceptable tells whether the kernel reads an attribute that may be an ACL: of a file with a bad one it reads nothing.
func acceptable(kind fstree.Type, x fstree.Xattr) bool {
	switch {
	case x.Name != posixacl.Access && x.Name != posixacl.Default:
		return true
	case kind == fstree.Symlink || x.Name == posixacl.Default && kind != fstree.Directory:
		return false
	}
	_, err := posixacl.Parse(x.Value)
	return err == nil
}

// pad appends zeros up to a multiple of n bytes.
func pad(b []byte, n int) []byte { return append(b, make([]byte, (n-len(b)%n)%n)...) }

// splitXattr gives the number of the name's namespace and what follows it.
func splitXattr(full string) (number byte, name string, ok bool) {
	for _, p := range xattrPrefixes {
		if name, ok := strings.CutPrefix(full, p.prefix); ok && (name == "") == p.whole {
			return p.number, name, true
		}
	}
	return 0, "", false
}

// count notes the entries of an inode.
func (x *xattrs) count(encoded []string) {
	for _, e := range encoded {
		if len(e) >= shareFrom {
			x.uses[e]++
		}
	}
}

// share gives entries of several inodes a place in the table.
func (x *xattrs) share() {
	var list []string
	for e, n := range x.uses {
		if n > 1 {
			list = append(list, e)
		}
	}
	slices.Sort(list)
	for _, e := range list {
		x.shared[e] = uint32(len(x.table) / 4)
		x.table = append(x.table, e...)
	}
	x.table = pad(x.table, blockSize)
	x.uses = nil
}

// body is what follows an inode with these entries: references to shared ones, and the others.
func (x *xattrs) body(encoded []string) []byte {
	if len(encoded) == 0 {
		return nil
	}
	b := make([]byte, xattrHeaderSize)
	var inline []byte
	for _, e := range encoded {
		if at, ok := x.shared[e]; ok && b[4] < maxSharedXattrs {
			b[4]++
			b = le.AppendUint32(b, at)
		} else {
			inline = append(inline, e...)
		}
	}
	return append(b, inline...)
}
