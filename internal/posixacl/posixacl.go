// Package posixacl reads POSIX access control lists as programs and layers have them: the value of the extended attributes
// Access and Default.
package posixacl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Names of extended attributes.
const (
	Access  = "system.posix_acl_access"
	Default = "system.posix_acl_default" // of directories alone
)

// Tags of entries (POSIX 1003.1e).
const (
	userObj  = 0x01
	user     = 0x02
	groupObj = 0x04
	group    = 0x08
	mask     = 0x10
	other    = 0x20
)

const (
	version   = 2
	headSize  = 4         // the version
	entrySize = 2 + 2 + 4 // tag, permissions, id
)

// Entry is one entry of a list.
type Entry struct {
	Tag, Permissions uint16
	ID               uint32 // of a named user or group
}

// Named tells whether the entry is one of a named user or group.
func (e Entry) Named() bool { return e.Tag == user || e.Tag == group }

var errACL = errors.New("not a POSIX ACL")

// Parse reads a list. What the kernel would refuse is an error: a file with such a list could not be opened.
func Parse(value []byte) ([]Entry, error) {
	le := binary.LittleEndian
	if len(value) < headSize || le.Uint32(value) != version || (len(value)-headSize)%entrySize != 0 {
		return nil, errACL
	}
	var list []Entry
	var o order
	for b := value[headSize:]; len(b) > 0; b = b[entrySize:] {
		e := Entry{le.Uint16(b), le.Uint16(b[2:]), le.Uint32(b[4:])}
		if e.Permissions > 7 || !o.add(e) {
			return nil, fmt.Errorf("%w: entry %d", errACL, len(list))
		}
		list = append(list, e)
	}
	if !o.complete() {
		return nil, fmt.Errorf("%w: entries are missing", errACL)
	}
	return list, nil
}

// order follows the entries of a list: the owner, users, the group, groups, the mask, others.
type order struct {
	seen uint16 // tags
}

func (o *order) add(e Entry) bool {
	switch e.Tag {
	case userObj, user, groupObj, group, mask, other:
	default:
		return false
	}
	if e.Tag < o.highest() || !e.Named() && o.seen&e.Tag != 0 || e.Named() && e.ID == math.MaxUint32 {
		return false
	}
	o.seen |= e.Tag
	return true
}

func (o *order) highest() uint16 {
	for tag := uint16(other); tag > 0; tag >>= 1 {
		if o.seen&tag != 0 {
			return tag
		}
	}
	return 0
}

// complete tells whether the entries that every list has are there, and the mask if it needs one.
func (o *order) complete() bool {
	const base = userObj | groupObj | other
	return o.seen&base == base && (o.seen&(user|group) == 0 || o.seen&mask != 0)
}
