package zstdblock

// Literals section types, RFC 8878 section 3.1.1.3.1.1.
const (
	litRaw      = 0
	litRLE      = 1
	litHuffman  = 2
	litTreeless = 3
)

// literalsCoder writes literals sections and remembers the tree of the last one in the frame.
type literalsCoder struct {
	builder huffBuilder
	tables  [2]huffTable
	cur     int  // which of tables is prev
	valid   bool // tables[cur] is known to the decoder
	tried   bool // a section was written with the other table; commit makes it prev
	counts  [256]uint32
	hist    [3][256]uint32
}

func (l *literalsCoder) reset() { l.valid, l.tried = false, false }

// commit makes the table of the section written last the one that later sections may repeat.
func (l *literalsCoder) commit() {
	if l.tried {
		l.cur ^= 1
		l.valid, l.tried = true, false
	}
}

// histogram counts bytes; four tables keep runs of one byte from waiting on each other.
func (l *literalsCoder) histogram(lits []byte) {
	l.counts = [256]uint32{}
	if len(lits) < 1024 {
		for _, b := range lits {
			l.counts[b]++
		}
		return
	}
	l.hist = [3][256]uint32{}
	i := 0
	for ; i+4 <= len(lits); i += 4 {
		q := lits[i : i+4 : i+4]
		l.counts[q[0]]++
		l.hist[0][q[1]]++
		l.hist[1][q[2]]++
		l.hist[2][q[3]]++
	}
	for ; i < len(lits); i++ {
		l.counts[lits[i]]++
	}
	for s := range l.counts {
		l.counts[s] += l.hist[0][s] + l.hist[1][s] + l.hist[2][s]
	}
}

// encode writes the literals section to buf, which must hold len(lits)+32 bytes, and returns its size.
func (l *literalsCoder) encode(buf, lits []byte) int {
	l.tried = false
	n := len(lits)
	if n == 0 {
		return putRawLiterals(buf, litRaw, 0)
	}
	l.histogram(lits)
	distinct, top := 0, uint32(0)
	for _, c := range l.counts {
		if c > 0 {
			distinct++
			top = max(top, c)
		}
	}
	if distinct == 1 && n > 2 {
		h := putRawLiterals(buf, litRLE, n)
		buf[h] = lits[0]
		return h + 1
	}
	raw := n + rawHeader(n)
	prev := &l.tables[l.cur]
	size, table, kind := raw, prev, litRaw
	if l.valid {
		if b := prev.size(&l.counts); b >= 0 {
			if s := int(b>>3) + 1 + huffHeader(n); s < size {
				size, kind = s, litTreeless
			}
		}
	}
	// A tree costs some dozens of bytes: flat or tiny literals cannot earn it back.
	if distinct > 1 && n >= 16 && (n < 1024 || top > uint32(n)>>8+uint32(n)>>11) {
		t := &l.tables[l.cur^1]
		l.builder.build(t, &l.counts)
		if b := t.size(&l.counts); len(t.desc) > 0 {
			if s := int(b>>3) + 1 + len(t.desc) + huffHeader(n); s < size {
				size, kind, table = s, litHuffman, t
			}
		}
	}
	if kind != litRaw {
		if s := putHuffLiterals(buf, lits, table, kind); s < raw {
			l.tried = kind == litHuffman
			return s
		}
	}
	h := putRawLiterals(buf, litRaw, n)
	return h + copy(buf[h:], lits)
}

func rawHeader(n int) int {
	switch {
	case n < 32:
		return 1
	case n < 4096:
		return 2
	}
	return 3
}

// putRawLiterals writes the header of a raw or RLE section.
func putRawLiterals(buf []byte, kind, n int) int {
	switch {
	case n < 32:
		buf[0] = byte(kind | n<<3)
		return 1
	case n < 4096:
		buf[0], buf[1] = byte(kind|1<<2|n<<4), byte(n>>4)
		return 2
	}
	buf[0], buf[1], buf[2] = byte(kind|3<<2|n<<4), byte(n>>4), byte(n>>12)
	return 3
}

// huffHeader estimates header and jump table of n literals.
func huffHeader(n int) int {
	switch {
	case n < 256:
		return 3
	case n < 1024:
		return 3 + 6
	case n < 16384:
		return 4 + 6
	}
	return 5 + 6
}

// putHuffLiterals writes a compressed section by table; the result is at least len(lits) when it does not pay.
func putHuffLiterals(buf, lits []byte, t *huffTable, kind int) int {
	n := len(lits)
	header, format, width := 3, 0, uint(10)
	switch {
	case n < 256:
	case n < 1024:
		format = 1
	case n < 16384:
		header, format, width = 4, 2, 14
	default:
		header, format, width = 5, 3, 18
	}
	pos := header
	if kind == litHuffman {
		pos += copy(buf[pos:], t.desc)
	}
	if format == 0 {
		pos += t.encode(buf[pos:], lits)
	} else {
		jump := buf[pos : pos+6]
		pos += 6
		quarter := (n + 3) / 4
		for i := range 4 {
			part := lits[min(n, i*quarter):min(n, (i+1)*quarter)]
			size := t.encode(buf[pos:], part)
			if i < 3 {
				jump[2*i], jump[2*i+1] = byte(size), byte(size>>8)
			}
			pos += size
		}
	}
	size := pos - header
	if size >= n {
		return n + 16
	}
	v := uint64(kind) | uint64(format)<<2 | uint64(n)<<4 | uint64(size)<<(4+width)
	for i := range header {
		buf[i] = byte(v >> (8 * i))
	}
	return pos
}
