// Package payload reads and writes what the fledge command brings along for Linux machines: Fledge's init, the guest
// that solves Dockerfiles and the one that fills file systems, for amd64 and arm64. It is a zip archive behind the
// executable, as self-extracting archives have it, so that fledge is one file.
package payload

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
)

// Variable is the environment variable that names a payload, a zip archive or an executable with one, in place of that of
// the running executable.
const Variable = "FLEDGE_PAYLOAD"

// Programs are the names of all of them.
var Programs = []string{InitAMD64, InitARM64, GuestAMD64, GuestARM64, FillAMD64, FillARM64}

// Names of the programs.
const (
	InitAMD64  = "init-amd64"
	InitARM64  = "init-arm64"
	GuestAMD64 = "guest-amd64"
	GuestARM64 = "guest-arm64"
	FillAMD64  = "fill-amd64"
	FillARM64  = "fill-arm64"
)

const (
	sumsName  = "SHA256SUMS" // as sha256sum writes it: what the other entries have to be
	goSumName = "go.sum"     // of the modules that the executable is built of

	maxEntry = 512 << 20 // bytes; the guest has 60 MB
	maxText  = 1 << 20   // bytes of the two files above
)

// ErrNone is the error for an executable without a payload.
var ErrNone = errors.New("this fledge does not have Fledge's init and guests in it: it is cut off, or `go build` built it, which leaves them out; " +
	"get the whole command with `./bazelw build //tools/fledge:dist`, or set " + Variable + " to a whole one's path")

// Payload is an open payload.
type Payload struct {
	name  string // as errors call it
	zip   *zip.ReadCloser
	sums  map[string]string // SHA-256 by program
	files map[string]*zip.File
}

// Open opens the payload that the environment's FLEDGE_PAYLOAD names, or that of the running executable; ErrNone if that
// has none.
func Open() (*Payload, error) {
	if name := os.Getenv(Variable); name != "" {
		p, err := OpenFile(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", Variable, err)
		}
		return p, nil
	}
	name, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := OpenFile(name)
	if errors.Is(err, zip.ErrFormat) {
		return nil, ErrNone
	}
	return p, err
}

// OpenFile opens the payload in a file: a zip archive, or an executable with one behind it.
func OpenFile(name string) (*Payload, error) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, fmt.Errorf("%s holds no payload of fledge: %w", name, err)
	}
	p := &Payload{name: name, zip: z, sums: map[string]string{}, files: map[string]*zip.File{}}
	if err := p.index(); err != nil {
		z.Close()
		return nil, p.wrap(err)
	}
	return p, nil
}

// Close ends the use of p.
func (p *Payload) Close() error { return p.zip.Close() }

func (p *Payload) wrap(err error) error { return fmt.Errorf("the payload in %s: %w", p.name, err) }

func (p *Payload) index() error {
	for _, f := range p.zip.File {
		if p.files[f.Name] != nil {
			return fmt.Errorf("entry %q is there twice", f.Name)
		}
		p.files[f.Name] = f
	}
	text, err := p.text(sumsName)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("%s: line %q is not a SHA-256 and a name", sumsName, line)
		}
		if p.files[name] == nil {
			return fmt.Errorf("%s names %q, which is not there", sumsName, name)
		}
		p.sums[name] = sum
	}
	return nil
}

// text reads a small entry.
func (p *Payload) text(name string) ([]byte, error) {
	f := p.files[name]
	if f == nil {
		return nil, fmt.Errorf("there is no entry %q: it is not whole, or of another version of fledge", name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("entry %q: %w", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err == nil && len(b) > maxText {
		err = fmt.Errorf("more than %d bytes", maxText)
	}
	if err != nil {
		return nil, fmt.Errorf("entry %q: %w", name, err)
	}
	return b, nil
}

// Names are the programs that the payload has, sorted.
func (p *Payload) Names() []string {
	names := make([]string, 0, len(p.sums))
	for name := range p.sums {
		if name != goSumName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Digest is a program's SHA-256, "sha256:HEX", or an error if the payload does not have the program.
func (p *Payload) Digest(name string) (string, error) {
	sum := p.sums[name]
	if sum == "" {
		return "", p.wrap(fmt.Errorf("no program %q: there are %s", name, strings.Join(p.Names(), ", ")))
	}
	return "sha256:" + sum, nil
}

// GoSum is the go.sum of the modules that the executable is built of.
func (p *Payload) GoSum() ([]byte, error) {
	b, err := p.text(goSumName)
	if err != nil {
		return nil, p.wrap(err)
	}
	return b, nil
}

// Program is a program's bytes, which have its digest.
func (p *Payload) Program(name string) ([]byte, error) {
	var b bytes.Buffer
	if err := p.copy(&b, name); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Extract makes a program a file in cacheDir, which is made if need be, and gives its path, absolute as long as cacheDir is.
// The file's name has the digest: one that is there already is used when it has the right bytes, and made anew else.
func (p *Payload) Extract(name, cacheDir string) (file string, err error) {
	digest, err := p.Digest(name)
	if err != nil {
		return "", err
	}
	file = filepath.Join(cacheDir, name+"-"+strings.TrimPrefix(digest, "sha256:"))
	if p.holds(file, name) {
		return file, nil
	}
	if err := os.MkdirAll(cacheDir, 0o777); err != nil {
		return "", err
	}
	return file, cli.WriteFileMode(file, 0o755, func(f *os.File) error { return p.copy(f, name) })
}

// holds tells whether an executable file has the bytes of a program.
func (p *Payload) holds(file, name string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Mode().Perm()&0o111 == 0 {
		return false
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == p.sums[name]
}

// copy writes a program's bytes and checks them.
func (p *Payload) copy(w io.Writer, name string) error {
	digest, err := p.Digest(name)
	if err != nil {
		return err
	}
	r, err := p.files[name].Open()
	if err != nil {
		return p.wrap(fmt.Errorf("program %q: %w", name, err))
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(r, maxEntry+1))
	got := "sha256:" + hex.EncodeToString(h.Sum(nil))
	switch {
	case err != nil:
		return p.wrap(fmt.Errorf("program %q: %w", name, err))
	case n > maxEntry:
		return p.wrap(fmt.Errorf("program %q has more than %d bytes", name, maxEntry))
	case got != digest:
		return p.wrap(fmt.Errorf("program %q has the digest %s instead of %s", name, got, digest))
	}
	return nil
}
