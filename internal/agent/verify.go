package agent

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
)

// checksum is what a release publishes of a file, and where.
type checksum struct{ source, sha256 string }

const maxChecksums = 1 << 20 // bytes

var errNotListed = errors.New("not listed")

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// isChecksumFile says whether an asset has the SHA-256 of another, by the names that releases use.
func isChecksumFile(name, of string) bool {
	switch strings.ToLower(name) {
	case "checksums.txt", "sha256sums", "sha256sums.txt":
		return true
	}
	return name == of+".sha256" || name == of+".sha256sum"
}

// findChecksum finds a file's SHA-256 in the output of sha256sum, or in a file that has nothing but the sum. Lines of
// other shapes are no concern of ours.
func findChecksum(data []byte, name string) (string, error) {
	found := ""
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxChecksums)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || len(fields) > 2 || !isSHA256(strings.ToLower(fields[0])) {
			continue
		}
		if len(fields) == 2 && strings.TrimPrefix(strings.TrimPrefix(fields[1], "*"), "./") != name {
			continue
		}
		sum := strings.ToLower(fields[0])
		if found != "" && found != sum {
			return "", fmt.Errorf("it has two checksums of %s, %s and %s", name, found, sum)
		}
		found = sum
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	if found == "" {
		return "", errNotListed
	}
	return found, nil
}

// ELF's e_machine by architecture: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
var machines = map[string]uint16{"amd64": 62, "arm64": 183}

const elfHeader = 64 // bytes

// program takes a program as it comes: it sums it, keeps its first bytes and passes it on.
type program struct {
	hash hash.Hash
	head []byte
	keep Sink // may be nil
}

func newProgram() *program { return &program{hash: sha256.New()} }

func (p *program) Write(data []byte) (int, error) {
	if missing := elfHeader - len(p.head); missing > 0 {
		p.head = append(p.head, data[:min(missing, len(data))]...)
	}
	p.hash.Write(data)
	if p.keep != nil {
		return p.keep.Write(data)
	}
	return len(data), nil
}

// Reset forgets all that came.
func (p *program) Reset() {
	p.hash.Reset()
	p.head = nil
	if p.keep != nil {
		p.keep.Reset()
	}
}

func (p *program) sum() string { return hex.EncodeToString(p.hash.Sum(nil)) }

// VerifyFile fails unless a file has a SHA-256, in lower case hexadecimal, and is a program for an architecture.
func VerifyFile(path, sha256, arch string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p := newProgram()
	if _, err := io.Copy(p, f); err != nil {
		return err
	}
	if got := p.sum(); got != sha256 {
		return fmt.Errorf("%s has sha256:%s, not sha256:%s", path, got, sha256)
	}
	if err := p.check(arch); err != nil {
		return fmt.Errorf("%s %w", path, err)
	}
	return nil
}

// CheckFile fails unless a file is a program for an architecture, or a script.
func CheckFile(path, arch string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p := newProgram()
	if _, err := io.CopyN(p, f, elfHeader); err != nil && err != io.EOF {
		return err
	}
	if err := p.check(arch); err != nil {
		return fmt.Errorf("%s %w", path, err)
	}
	return nil
}

// check refuses what could not run as the agent: pages that servers send in place of a file, binaries for another
// machine.
func (p *program) check(arch string) error {
	switch {
	case bytes.HasPrefix(p.head, []byte("#!")):
		return nil
	case !bytes.HasPrefix(p.head, []byte("\x7fELF")) || len(p.head) < elfHeader:
		return fmt.Errorf("is no program: it begins with %.24q", p.head)
	case p.head[4] != 2 || p.head[5] != 1 || binary.LittleEndian.Uint16(p.head[18:]) != machines[arch]:
		return fmt.Errorf("is a program for another machine than %s", arch)
	}
	return nil
}
