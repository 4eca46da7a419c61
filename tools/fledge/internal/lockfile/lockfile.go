// Package lockfile reads and writes fledge.lock, which pins what the tags, versions and URLs of a fledge.toml stand for.
package lockfile

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/tomlread"
)

// Name is what the file is called; it lies beside the recipe.
const Name = "fledge.lock"

// MaxSize is the largest fledge.lock, in bytes.
const MaxSize = 1 << 20

// Lock is a fledge.lock. A nil Lock is one without pins.
type Lock struct {
	Images  []Image
	Agents  []Agent
	Busybox []Busybox
}

// Image pins an image.
type Image struct {
	Reference string // canonical, with its transport: docker://docker.io/library/nginx:alpine
	Digest    string // sha256:HEX
}

// Agent pins an agent.
type Agent struct {
	Source  string            // "release REPOSITORY VERSION" as the recipe has it, or the URL
	Version string            // the tag that it stands for; "" for a URL
	SHA256  map[string]string // by architecture: 64 hexadecimal digits
}

// Busybox pins a busybox.
type Busybox struct {
	URL    string
	SHA256 string // 64 hexadecimal digits
}

// ReleaseSource is the Source of an agent of a release.
func ReleaseSource(repository, version string) string { return "release " + repository + " " + version }

// Image gives the digest of a reference, "" when it is not locked.
func (l *Lock) Image(reference string) string {
	if l != nil {
		for _, image := range l.Images {
			if image.Reference == reference {
				return image.Digest
			}
		}
	}
	return ""
}

// Agent gives the version of an agent, which is that of all architectures, and the SHA-256 for one; "" is what is not
// locked.
func (l *Lock) Agent(source, arch string) (version, sha256 string) {
	if a := l.agent(source); a != nil {
		return a.Version, a.SHA256[arch]
	}
	return "", ""
}

// AgentArchs are the architectures that an agent is locked for, sorted.
func (l *Lock) AgentArchs(source string) []string {
	if a := l.agent(source); a != nil {
		return a.archs()
	}
	return nil
}

func (l *Lock) agent(source string) *Agent {
	if l == nil {
		return nil
	}
	i := slices.IndexFunc(l.Agents, func(a Agent) bool { return a.Source == source })
	if i < 0 {
		return nil
	}
	return &l.Agents[i]
}

// BusyboxSHA gives the SHA-256 of the busybox at a URL, "" when it is not locked.
func (l *Lock) BusyboxSHA(url string) string {
	if l != nil {
		for _, b := range l.Busybox {
			if b.URL == url {
				return b.SHA256
			}
		}
	}
	return ""
}

// SetImage pins an image.
func (l *Lock) SetImage(reference, digest string) {
	l.Images = slices.DeleteFunc(l.Images, func(i Image) bool { return i.Reference == reference })
	l.Images = append(l.Images, Image{reference, digest})
}

// SetAgent pins an agent for an architecture. Checksums for others stay, unless they are of another version.
func (l *Lock) SetAgent(source, version, arch, sha256 string) {
	a := l.agent(source)
	if a == nil {
		l.Agents = append(l.Agents, Agent{Source: source, Version: version})
		a = &l.Agents[len(l.Agents)-1]
	}
	if a.Version != version || a.SHA256 == nil {
		a.Version, a.SHA256 = version, map[string]string{}
	}
	a.SHA256[arch] = sha256
}

// SetBusybox pins a busybox.
func (l *Lock) SetBusybox(url, sha256 string) {
	l.Busybox = slices.DeleteFunc(l.Busybox, func(b Busybox) bool { return b.URL == url })
	l.Busybox = append(l.Busybox, Busybox{url, sha256})
}

// Read reads the file at path. It gives nil when there is none.
func Read(path string) (*Lock, error) {
	src, err := tomlread.ReadFile(path, MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return Parse(path, src)
}

// Change changes the file at path, which may not be there. Of processes that do so at once each sees what the one before
// has written.
func Change(path string, change func(*Lock)) error {
	dir, err := os.Open(filepath.Dir(path)) // no file of its own, which would stay
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOLCK) && !errors.Is(err, unix.EBADF) {
		return &fs.PathError{Op: "lock", Path: dir.Name(), Err: err}
	} // file systems of networks have no locks of folders: there it goes without
	l, err := Read(path)
	if err != nil {
		return err
	}
	if l == nil {
		l = &Lock{}
	}
	change(l)
	return l.Write(path)
}

// Write writes the file at path, which appears whole or not at all. A file that has the same pins stays as it is.
func (l *Lock) Write(path string) error {
	if old, err := Read(path); err == nil && old != nil && old.equal(l) {
		return nil
	}
	out := l.Format()
	if _, err := Parse(path, out); err != nil {
		return err // what is written can be read
	}
	return cli.WriteKept(path, 0o644, func(f *os.File) error {
		_, err := f.Write(out)
		return err
	})
}

func (l *Lock) equal(o *Lock) bool { return string(l.Format()) == string(o.Format()) }

// archs are the architectures of an agent in order.
func (a Agent) archs() []string { return slices.Sorted(maps.Keys(a.SHA256)) }
