// Package fetch gets the programs that go into images: the agent, from a release or a URL, and busybox. What was fetched
// once stays in a folder by its SHA-256, so that what is pinned and was fetched needs no network.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/internal/tempfile"
)

// Busybox that images get when the recipe names none: static, with musl, for amd64. There is none for arm64.
const (
	BusyboxURL    = "https://busybox.net/downloads/binaries/1.35.0-x86_64-linux-musl/busybox"
	BusyboxSHA256 = "6e123e7f3202a8c1e9b1f94d8941580a25135382b99e8d3e34fb858bba311348"
)

// Client gets programs.
type Client struct {
	Cache  string       // folder: programs/sha256/HEX
	Remote agent.Client // asks servers; its Token is GITHUB_TOKEN, and its Keep is not used
}

// Pin is what a program is pinned to.
type Pin struct {
	Version string // the release's tag; "" for a URL
	SHA256  string // lower case hexadecimal; "": not pinned
}

// Agent gets the agent of a recipe whose Strategy is recipe.Release or recipe.HTTP, for an architecture (amd64 or
// arm64): the file, which is executable, and what to pin. The recipe's checksum decides, then what is pinned
// already, and the release "latest" is then the one that it was.
func (c *Client) Agent(ctx context.Context, a *recipe.Agent, arch string, pinned Pin) (file string, pin Pin, err error) {
	switch a.Strategy {
	case recipe.Release:
		file, pin, err = c.release(ctx, a, arch, pinned)
	case recipe.HTTP:
		url := strings.ReplaceAll(a.URL, "{arch}", arch)
		file, pin.SHA256, err = c.url(ctx, url, arch, cmp.Or(strings.TrimPrefix(a.Checksum, "sha256:"), pinned.SHA256))
	default:
		err = fmt.Errorf("source_strategy %q is none of which anything is fetched", a.Strategy)
	}
	if err != nil {
		return "", Pin{}, fmt.Errorf("agent: %w", err)
	}
	return file, pin, nil
}

// Busybox gets busybox for an architecture: that of a URL, or Fledge's own when it is "".
func (c *Client) Busybox(ctx context.Context, url, arch string, pinned Pin) (file string, pin Pin, err error) {
	if url == "" {
		if arch != "amd64" {
			return "", Pin{}, fmt.Errorf("there is no busybox for %s by default: give busybox_url and busybox_sha256 in "+
				"[source] of the recipe, or --busybox URL for a Dockerfile alone", arch)
		}
		url, pinned = BusyboxURL, Pin{SHA256: BusyboxSHA256}
	}
	if file, pin.SHA256, err = c.url(ctx, url, arch, pinned.SHA256); err != nil {
		return "", Pin{}, fmt.Errorf("busybox: %w", err)
	}
	return file, pin, nil
}

// release gets the agent of a release: through GitHub's API with the checksums that the release publishes, or the pinned
// one from its address, which needs no API.
func (c *Client) release(ctx context.Context, a *recipe.Agent, arch string, pinned Pin) (string, Pin, error) {
	version := a.Version
	if version == "latest" {
		version = cmp.Or(pinned.Version, version)
	}
	if pinned.SHA256 != "" && version != "latest" {
		url := cmp.Or(a.Repository, agent.Repository) + "/releases/download/" + version + "/" + agent.Assets[arch]
		file, sum, err := c.url(ctx, url, arch, pinned.SHA256)
		return file, Pin{version, sum}, err
	}
	file, pin, err := c.fetch(arch, func(remote *agent.Client) (*agent.Pin, error) {
		return remote.PinRelease(ctx, agent.Source{Repository: a.Repository, Version: version, Archs: []string{arch}})
	})
	return file, pin, err
}

// url gets the program at a URL, which must have the SHA-256 that is wanted ("": any).
func (c *Client) url(ctx context.Context, url, arch, want string) (file, sha256 string, err error) {
	if want != "" {
		if file := c.file(want); agent.VerifyFile(file, want, arch) == nil {
			return file, want, nil
		}
	}
	file, pin, err := c.fetch(arch, func(remote *agent.Client) (*agent.Pin, error) {
		pin, err := remote.PinURL(ctx, agent.Source{URL: url, Archs: []string{arch}})
		if err == nil && want != "" && pin.SHA256[arch] != want {
			url, _, _ := strings.Cut(url, "?") // what is after it may be secret
			err = fmt.Errorf("%s is not the file that it was pinned to:\n  fetched sha256:%s\n  pinned  sha256:%s\n"+
				"Whoever owns it has changed it, or somebody on the way; if it is meant to be, fledge update pins it anew, or "+
				"change the checksum in the recipe", url, pin.SHA256[arch], want)
		}
		return pin, err
	})
	return file, pin.SHA256, err
}

func (c *Client) dir() string { return filepath.Join(c.Cache, "programs", "sha256") }

func (c *Client) file(sha256 string) string { return filepath.Join(c.dir(), sha256) }

// fetch has a client fetch a program and puts it into the cache.
func (c *Client) fetch(arch string, pin func(*agent.Client) (*agent.Pin, error)) (string, Pin, error) {
	if err := os.MkdirAll(c.dir(), 0o755); err != nil {
		return "", Pin{}, err
	}
	f, err := tempfile.Create(c.file("program")) // its digest comes last
	if err != nil {
		return "", Pin{}, cli.About(err, c.dir())
	}
	remote := c.Remote
	remote.Keep = func(string) agent.Sink { return &sink{file: f.File} }
	var file string
	got, err := pin(&remote)
	if err == nil {
		err = f.Chmod(0o755)
	}
	if err == nil {
		file = c.file(got.SHA256[arch])
		err = f.Rename(file)
	}
	if err != nil {
		f.Discard()
		return "", Pin{}, cli.About(err, c.dir())
	}
	return file, Pin{got.Version, got.SHA256[arch]}, nil
}

// sink is a file that a program is written to.
type sink struct {
	file *os.File
	err  error // of Reset
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.file.Write(p)
}

func (s *sink) Reset() {
	_, err := s.file.Seek(0, io.SeekStart)
	s.err = errors.Join(err, s.file.Truncate(0))
}
