package m

func Kind(b []byte) int {
	if len(b) > 2 && b[0] == 'F' {
		if b[1] == 'U' {
			return 2
		}
		return 1
	}
	return 0
}
