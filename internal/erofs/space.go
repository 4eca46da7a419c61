package erofs

// space hands out slots for inodes and what lies behind them. Gaps are filled with what fits best.
type space struct {
	end  uint64                // slots so far: whole blocks; more than 32 bits count are an error that layOut finds
	gaps [slotsABlock][]uint32 // first slots of gaps, by their size
}

// newSpace begins after the slot 0: programs take the inode number 0 for none.
func newSpace() *space {
	s := &space{end: slotsABlock}
	s.addGap(1, slotsABlock-1)
	return s
}

func (s *space) addGap(slot, size uint32) {
	if size > 0 {
		s.gaps[size] = append(s.gaps[size], slot)
	}
}

// place finds slots for head bytes that begin with an inode and tail bytes after them. The tail, at most
// erofspack.MaxTail bytes unless all fits into a block, does not go across the end of a block, and nothing does that fits
// into one.
func (s *space) place(head, tail uint64) (slot uint32) {
	size := (head + tail + slotSize - 1) / slotSize
	if size >= slotsABlock {
		return s.append(head, tail)
	}
	for gap := size; gap < slotsABlock; gap++ {
		if list := s.gaps[gap]; len(list) > 0 {
			slot = list[len(list)-1]
			s.gaps[gap] = list[:len(list)-1]
			s.addGap(slot+uint32(size), uint32(gap-size))
			return slot
		}
	}
	return s.append(head, tail)
}

// append takes new blocks.
func (s *space) append(head, tail uint64) uint32 {
	slot := s.end
	if over := head % blockSize; head+tail > blockSize && tail > 0 && over+tail > blockSize {
		shift := (blockSize - over + slotSize - 1) / slotSize % slotsABlock
		s.addGap(uint32(slot), uint32(shift))
		slot += shift
	}
	end := slot + (head+tail+slotSize-1)/slotSize
	s.end = (end + slotsABlock - 1) / slotsABlock * slotsABlock
	s.addGap(uint32(end), uint32(s.end-end))
	return uint32(slot)
}
