// Package entropy tells how few bits symbols need: code lengths of length-limited Huffman codes, and logarithms. All of it
// is in integers, so that it is the same on every machine.
package entropy

import "slices"

const (
	maxSymbols = 1 << symbolBits
	symbolBits = 9
	maxLimit   = 15
)

// Builder holds the scratch space of Lengths.
type Builder struct {
	keys   [maxSymbols]uint64
	weight [2 * maxSymbols]uint32
	parent [2 * maxSymbols]uint16
}

// tree builds the unlimited Huffman tree over the first n keys, which are sorted, and leaves it in parent.
func (b *Builder) tree(n int) {
	// Two queues: leaves in order, inner nodes in order of creation.
	for i, k := range b.keys[:n] {
		b.weight[i] = uint32(k >> symbolBits)
	}
	leaf, inner := 0, n
	for next := n; next < 2*n-1; next++ {
		sum := uint32(0)
		for range 2 {
			if leaf < n && (inner >= next || b.weight[leaf] <= b.weight[inner]) {
				sum += b.weight[leaf]
				b.parent[leaf] = uint16(next)
				leaf++
			} else {
				sum += b.weight[inner]
				b.parent[inner] = uint16(next)
				inner++
			}
		}
		b.weight[next] = sum
	}
}

// Lengths sets out[s] to the code length of symbol s, at most limit, or 0 where counts[s] is 0, and returns the longest.
// At least two counts must not be 0, their sum must be below 1<<32. len(out) is len(counts), at most 512; limit is at
// most 15, and 1<<limit no less than the number of symbols.
func (b *Builder) Lengths(counts []uint32, limit uint, out []uint8) (longest uint) {
	n := 0
	for s, c := range counts {
		out[s] = 0
		if c > 0 {
			b.keys[n] = uint64(c)<<symbolBits | uint64(s)
			n++
		}
	}
	keys := b.keys[:n]
	slices.Sort(keys)
	b.tree(n)
	byLen := b.count(n, limit)
	i := 0
	for d := limit; d > 0; d-- {
		for range byLen[d] {
			out[keys[i]%maxSymbols] = uint8(d)
			longest = max(longest, d)
			i++
		}
	}
	return longest
}

// count returns how many of the n leaves get a code of which length. It uses up weight.
func (b *Builder) count(n int, limit uint) (byLen [maxLimit + 1]int) {
	depth := b.weight[:2*n-1]
	depth[2*n-2] = 0
	over := 0 // Kraft sum beyond one, in units of 2^-limit
	for i := 2*n - 3; i >= 0; i-- {
		depth[i] = depth[b.parent[i]] + 1
		if i < n {
			d := min(uint(depth[i]), limit)
			byLen[d]++
			over += 1 << (limit - d)
		}
	}
	over -= 1 << limit
	// Clamped leaves overfill the code: hang one deepest leaf beside another, higher leaf until it fits.
	for ; over > 0; over-- {
		d := limit - 1
		for byLen[d] == 0 {
			d--
		}
		byLen[d]--
		byLen[d+1] += 2
		byLen[limit]--
	}
	return byLen
}
