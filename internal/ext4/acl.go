package ext4

import (
	"errors"
	"fmt"
)

// Tags of ACL entries (POSIX 1003.1e).
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

const (
	aclVersion     = 2 // of what programs and layers have
	aclDiskVersion = 1
	aclEntrySize   = 2 + 2 + 4 // tag, permissions, id
)

var errACL = errors.New("not a POSIX ACL")

// encodeACL turns an ACL as programs see it into the form on disk, which has ids only where they mean something. What
// the kernel would refuse is an error: a file with such an ACL could not be opened.
func encodeACL(value []byte) ([]byte, error) {
	if len(value) < 4 || le.Uint32(value) != aclVersion || (len(value)-4)%aclEntrySize != 0 {
		return nil, errACL
	}
	out := le.AppendUint32(nil, aclDiskVersion)
	var order aclOrder
	for e := value[4:]; len(e) > 0; e = e[aclEntrySize:] {
		tag, perm, id := le.Uint16(e), le.Uint16(e[2:]), le.Uint32(e[4:])
		if perm > 7 || !order.add(tag, id) {
			return nil, fmt.Errorf("%w: entry %d", errACL, len(value[4:])/aclEntrySize-len(e)/aclEntrySize)
		}
		out = append(out, e[:4]...)
		if tag == aclUser || tag == aclGroup {
			out = append(out, e[4:8]...)
		}
	}
	if !order.complete() {
		return nil, fmt.Errorf("%w: entries are missing", errACL)
	}
	return out, nil
}

// aclOrder follows the entries of an ACL: the owner, users, the group, groups, the mask, others.
type aclOrder struct {
	seen uint16 // tags
}

func (o *aclOrder) add(tag uint16, id uint32) bool {
	switch tag {
	case aclUserObj, aclUser, aclGroupObj, aclGroup, aclMask, aclOther:
	default:
		return false
	}
	named := tag == aclUser || tag == aclGroup
	if tag < o.highest() || !named && o.seen&tag != 0 || named && id == 1<<32-1 {
		return false
	}
	o.seen |= tag
	return true
}

func (o *aclOrder) highest() uint16 {
	for tag := uint16(aclOther); tag > 0; tag >>= 1 {
		if o.seen&tag != 0 {
			return tag
		}
	}
	return 0
}

// complete tells whether the entries that every ACL has are there, and the mask if it needs one.
func (o *aclOrder) complete() bool {
	const base = aclUserObj | aclGroupObj | aclOther
	return o.seen&base == base && (o.seen&(aclUser|aclGroup) == 0 || o.seen&aclMask != 0)
}
