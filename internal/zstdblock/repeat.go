package zstdblock

// offsetValue returns how off is written after ll literals when reps are the repeated offsets (RFC 8878 section
// 3.1.1.5): without literals the first one cannot be meant, and 3 stands for one less than it.
func offsetValue(off uint32, ll uint32, reps *[3]uint32) uint32 {
	if ll > 0 {
		switch off {
		case reps[0]:
			return 1
		case reps[1]:
			return 2
		case reps[2]:
			return 3
		}
		return off + 3
	}
	switch off {
	case reps[1]:
		return 1
	case reps[2]:
		return 2
	case reps[0] - 1:
		return 3
	}
	return off + 3
}

// pushOffset updates reps after a match at off that was written as value.
func pushOffset(off, value, ll uint32, reps *[3]uint32) {
	if ll == 0 && value <= 3 {
		value++
	}
	switch value {
	case 1:
	case 2:
		reps[0], reps[1] = off, reps[0]
	default:
		reps[0], reps[1], reps[2] = off, reps[0], reps[1]
	}
}
