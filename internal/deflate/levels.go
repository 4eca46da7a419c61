package deflate

// params say how thoroughly a level looks for matches and chooses among them.
type params struct {
	depth   int  // places to look at
	good    int  // from this length on, later positions look at half of the places that they would
	nice    int  // a match this long is taken at once
	ahead   int  // positions to look ahead for a better match
	near    int  // how far away a match of three bytes may be
	optimal bool // choose again by price
}

// The parameters were chosen by what each costs and gains on the files of /usr; docs/deflate-encoder.md has the figures.
var levels = [MaxLevel + 1]params{
	1: {2, 8, 16, 0, 1024, false},
	2: {6, 8, 32, 0, 4096, false},
	3: {4, 8, 32, 1, 4096, false},
	4: {8, 12, 64, 1, 8192, false},
	5: {12, 12, 64, 1, 8192, false},
	6: {16, 16, 96, 1, 8192, false},
	7: {40, 16, 130, 1, 8192, false},
	8: {20, 16, 32, 1, 8192, true},
	9: {60, 16, 48, 1, 8192, true},
}
