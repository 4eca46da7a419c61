package deflate

// params say how thoroughly a level looks for matches.
type params struct {
	depth int // places to look at
	good  int // from this length on, later positions look at a quarter of the places
	nice  int // a match this long is taken at once
	ahead int // positions to look ahead
	near  int // how far away a match of three bytes may be
}

var levels = [MaxLevel + 1]params{
	1: {4, 8, 16, 0, 1024},
	2: {8, 8, 32, 0, 2048},
	3: {8, 8, 32, 1, 2048},
	4: {16, 16, 48, 1, 4096},
	5: {24, 16, 64, 1, 4096},
	6: {40, 16, 96, 1, 4096},
	7: {100, 32, 130, 1, 4096},
	8: {300, 64, 200, 2, 4096},
	9: {600, 128, 258, 2, 4096},
}
