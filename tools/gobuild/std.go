package main

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// standardPackages are those of the standard library that take long and that most programs need; the rest is compiled
// with each program.
var standardPackages = []string{
	"archive/tar", "archive/zip", "debug/elf", "encoding/json", "flag", "log/slog", "net/http", "os/exec", "os/signal", "text/template",
}

// entryName is a file of the go command's cache: what is known of an action (-a), or data (-d).
var entryName = regexp.MustCompile(`^[0-9a-f]{2}/[0-9a-f]{64}-[ad]$`)

// entryTime is the end of a file -a: the time in nanoseconds of when it was written, as 20 characters. (cmd/go/internal/cache)
var entryTime = regexp.MustCompile(` [ 0-9]{20}\n$`)

// packCache writes the go command's cache in dir as a zip. Its bytes are the same whenever and wherever it was filled.
func packCache(dir, out string) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := zip.NewWriter(f)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !entryName.MatchString(name) {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if name[len(name)-1] == 'a' {
			data = entryTime.ReplaceAll(data, fmt.Appendf(nil, " %20d\n", 1))
		}
		w, err := z.Create(name)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, z.Close())
}

// unpackCache makes a cache in dir of what packCache wrote.
func unpackCache(name, dir string) error {
	return unpack(name, dir, 0o644, func(entry string) (string, error) {
		if !entryName.MatchString(entry) {
			return "", errors.New("it is no file of the go command's cache")
		}
		return entry, nil
	})
}
