package ext4

import "math/bits"

// hashVersion is half MD4 over bytes taken as signed numbers, the default of mke2fs on amd64. Which of the two it is
// stands in the superblock, so the machine that mounts the image does not matter.
const (
	hashVersion = 1 // half MD4
	signedHash  = 1 // flag of the superblock
)

// hashEOF is the hash that means the end of a directory; a name that has it gets the one before.
const hashEOF = 0x7fffffff << 1

// nameHash is a name's place in a directory's hash tree. The lowest bit of major is 0.
type nameHash struct{ major, minor uint32 }

// hashName hashes a name with the file system's seed.
func hashName(seed [4]uint32, name string) nameHash {
	h := seed
	for p := name; ; p = p[32:] {
		halfMD4(&h, hashInput(p))
		if len(p) <= 32 {
			break
		}
	}
	major := h[1] &^ 1
	if major == hashEOF {
		major = hashEOF - 2
	}
	return nameHash{major, h[2]}
}

// hashInput is the first 32 bytes of name, padded with its length.
func hashInput(name string) (in [8]uint32) {
	pad := uint32(len(name)) | uint32(len(name))<<8
	pad |= pad << 16
	for i := range in {
		in[i] = pad
		for j := 4 * i; j < min(4*i+4, len(name)); j++ {
			in[i] = uint32(int32(int8(name[j]))) + in[i]<<8
		}
	}
	return in
}

// halfMD4 is MD4 with half of its steps (fs/ext4/hash.c).
func halfMD4(h *[4]uint32, in [8]uint32) {
	const k2, k3 = 0x5a827999, 0x6ed9eba1
	a, b, c, d := h[0], h[1], h[2], h[3]
	step := func(f, x uint32, s int) { a, b, c, d = d, bits.RotateLeft32(a+f+x, s), b, c }
	for i, s := range [8]int{3, 7, 11, 19, 3, 7, 11, 19} {
		step(d^(b&(c^d)), in[i], s)
	}
	for i, s := range [8]int{3, 5, 9, 13, 3, 5, 9, 13} {
		step(b&c+(b^c)&d, in[[8]int{1, 3, 5, 7, 0, 2, 4, 6}[i]]+k2, s)
	}
	for i, s := range [8]int{3, 9, 11, 15, 3, 9, 11, 15} {
		step(b^c^d, in[[8]int{3, 7, 2, 6, 1, 5, 0, 4}[i]]+k3, s)
	}
	h[0], h[1], h[2], h[3] = h[0]+a, h[1]+b, h[2]+c, h[3]+d
}
