package fill

import "os"

type btrfsFixer struct{}

func newBtrfsFixer(f *os.File) (fixer, error) { return &btrfsFixer{}, nil }

func (x *btrfsFixer) fix(b []byte, at int64) {}
