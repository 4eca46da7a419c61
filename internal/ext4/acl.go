package ext4

import "github.com/fledge-build/fledge/internal/posixacl"

const aclDiskVersion = 1

// encodeACL turns an ACL as programs see it into the form on disk, which has ids only where they mean something. What
// the kernel would refuse is an error.
func encodeACL(value []byte) ([]byte, error) {
	list, err := posixacl.Parse(value)
	if err != nil {
		return nil, err
	}
	out := le.AppendUint32(nil, aclDiskVersion)
	for _, e := range list {
		out = le.AppendUint16(le.AppendUint16(out, e.Tag), e.Permissions)
		if e.Named() {
			out = le.AppendUint32(out, e.ID)
		}
	}
	return out, nil
}
