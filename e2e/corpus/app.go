package corpus

import (
	"archive/tar"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/fledge-build/fledge/e2e/layers"
)

const mainProgram = `import numpy, sys
print("corpus: python", sys.version.split()[0], "numpy", numpy.arange(10).sum(), flush=True)
`

// app is the app layer: about 10 MB of what applications are made of (source, data files, one large binary).
func app(w *layers.Writer) error {
	random := rand.New(rand.NewPCG(2026, 1))
	words := vocabulary(random)
	add := func(name string, data []byte, mode int64) error {
		h := &tar.Header{Name: "opt/app/" + name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(data)), ModTime: epoch}
		return w.Add(h, strings.NewReader(string(data)))
	}
	for _, dir := range []string{"opt/app/", "opt/app/lib/", "opt/app/data/"} {
		if err := w.Add(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: epoch}, nil); err != nil {
			return err
		}
	}
	if err := add("main.py", []byte(mainProgram), 0o755); err != nil {
		return err
	}
	for i := range 300 {
		if err := add(fmt.Sprintf("lib/module%03d.py", i), prose(random, words, 500+random.IntN(30000)), 0o644); err != nil {
			return err
		}
	}
	if err := add("data/table.bin", table(random, 3<<20), 0o644); err != nil {
		return err
	}
	return add("data/corpus.txt", prose(random, words, 2<<20), 0o644)
}

func vocabulary(random *rand.Rand) []string {
	words := make([]string, 4000)
	for i := range words {
		word := make([]byte, 2+random.IntN(9))
		for j := range word {
			word[j] = "etaoinshrdlucmfwypvbgk"[min(random.IntN(22), random.IntN(22))]
		}
		words[i] = string(word)
	}
	return words
}

// prose is text whose words come up as unevenly as in real text, so that it compresses about as well.
func prose(random *rand.Rand, words []string, size int) []byte {
	var b strings.Builder
	for b.Len() < size {
		rank := random.Float64()
		b.WriteString(words[int(rank*rank*rank*float64(len(words)))])
		b.WriteByte(" \n    "[min(random.IntN(6), random.IntN(6))])
	}
	return []byte(b.String()[:size])
}

// table is records of counters, small numbers and noise, as binaries and databases hold.
func table(random *rand.Rand, size int) []byte {
	b := make([]byte, 0, size+32)
	for i := uint64(0); len(b) < size; i++ {
		b = binary.LittleEndian.AppendUint64(b, i*24+4096)
		b = binary.LittleEndian.AppendUint32(b, random.Uint32N(300))
		b = binary.LittleEndian.AppendUint32(b, random.Uint32()&0xffffff)
		b = append(b, "entry\x00\x00\x00"...)
	}
	return b[:size]
}
