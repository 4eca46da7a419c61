// Package agent finds, fetches and verifies the agent (Kestrel): the releases of a repository on GitHub, or on a server
// with GitHub's API, and files at any URL.
//
// It keeps nothing but checksums, unless a Client's Keep takes the files: builds with Bazel fetch them themselves.
package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Repository is where releases of the agent come from when nothing else is said.
const Repository = "https://github.com/volantvm/volant"

// Architectures that there are agents for, as Go names them.
var Architectures = []string{"amd64", "arm64"}

// Assets are the names of the agent in a release, by architecture. The bare name is amd64's.
var Assets = map[string]string{"amd64": "kestrel", "arm64": "kestrel-arm64"}

// Pin is what a build has to know of an agent: a release of a repository, or a URL, and the checksums of its files.
type Pin struct {
	Version    string            // the release's tag; "" for a URL
	Repository string            // the URL of the release's repository
	URL        string            // {arch} stands for the architecture
	SHA256     map[string]string // by architecture, lower case hexadecimal
}

// Source tells what to pin.
type Source struct {
	Repository string            // URL of a repository; default Repository
	Version    string            // a tag or "latest", for PinRelease
	URL        string            // for PinURL
	Assets     map[string]string // names by architecture, where they differ from Assets
	Archs      []string          // what must be there; default amd64 and, where there is one, arm64
}

// PinRelease finds a release, fetches its agents and verifies them with all checksums that it publishes.
func (c *Client) PinRelease(ctx context.Context, s Source) (*Pin, error) {
	release, err := c.Release(ctx, s.Repository, s.Version)
	if err != nil {
		return nil, err
	}
	pin := &Pin{Version: release.Tag, SHA256: map[string]string{}}
	for _, arch := range Architectures {
		name := s.Assets[arch]
		if name == "" {
			name = Assets[arch]
		}
		required := arch == "amd64"
		if len(s.Archs) > 0 {
			if required = slices.Contains(s.Archs, arch); !required {
				continue
			}
		}
		asset := release.asset(name)
		if asset == nil && required {
			return nil, fmt.Errorf("release %s has no %s, for %s; it has %s", release.Tag, name, arch, release.names())
		}
		if asset == nil {
			c.note("release %s has no %s, so %s is not pinned", release.Tag, name, arch)
			continue
		}
		repository, err := repositoryOf(release.Tag, asset)
		if err == nil && pin.Repository != "" && pin.Repository != repository {
			err = fmt.Errorf("release %s has files at %s and at %s", release.Tag, pin.Repository, repository)
		}
		if err != nil {
			return nil, err
		}
		pin.Repository = repository
		if pin.SHA256[arch], err = c.pinAsset(ctx, release, asset, arch); err != nil {
			return nil, err
		}
	}
	return pin, nil
}

// repositoryOf gives the repository of an asset's URL. Builds make the URL from the repository's, so that what is
// fetched here has to be what that gives.
func repositoryOf(tag string, a *Asset) (string, error) {
	end := "/releases/download/" + tag + "/" + a.Name
	u, err := checkURL(a.URL)
	if err != nil {
		return "", fmt.Errorf("release %s: %s: %w", tag, a.Name, err)
	}
	owner, ok := strings.CutSuffix(u.Path, end)
	if !ok || u.RawQuery != "" {
		return "", fmt.Errorf("release %s: %s is at %s, and builds look for it at REPOSITORY%s; pin it with --url",
			tag, a.Name, display(a.URL), end)
	}
	return u.Scheme + "://" + u.Host + owner, nil
}

// pinAsset fetches an agent of a release and verifies it.
func (c *Client) pinAsset(ctx context.Context, r *Release, a *Asset, arch string) (string, error) {
	published, err := c.published(ctx, r, a)
	if err != nil {
		return "", err
	}
	got, err := c.fetchProgram(ctx, a.URL, a.Size, arch)
	if err != nil {
		return "", err
	}
	var sources []string
	for _, p := range published {
		if p.sha256 != got {
			return "", fmt.Errorf("release %s: %s is not the file that %s tells of:\n"+
				"  fetched   sha256:%s\n  published sha256:%s", r.Tag, a.Name, p.source, got, p.sha256)
		}
		sources = append(sources, p.source)
	}
	if len(sources) == 0 {
		c.note("%s %s: sha256:%s; the release publishes no checksum to compare it with", r.Tag, a.Name, got)
	} else {
		c.note("%s %s: sha256:%s, as in %s", r.Tag, a.Name, got, strings.Join(sources, " and "))
	}
	return got, nil
}

// PinURL fetches the agent at a URL, or with {arch} in it those of several architectures, and tells their checksums.
func (c *Client) PinURL(ctx context.Context, s Source) (*Pin, error) {
	archs := s.Archs
	each := strings.Contains(s.URL, "{arch}")
	switch {
	case len(archs) == 0 && each:
		archs = Architectures
	case len(archs) == 0:
		archs = Architectures[:1]
	case len(archs) > 1 && !each:
		return nil, fmt.Errorf("%s is one file, and it cannot be for %s; write {arch} where the architecture goes",
			display(s.URL), strings.Join(archs, " and "))
	}
	pin := &Pin{URL: s.URL, SHA256: map[string]string{}}
	for _, arch := range archs {
		from := strings.ReplaceAll(s.URL, "{arch}", arch)
		sum, err := c.fetchProgram(ctx, from, -1, arch)
		if err != nil {
			return nil, err
		}
		c.note("%s: sha256:%s", display(from), sum)
		pin.SHA256[arch] = sum
	}
	return pin, nil
}

// fetchProgram fetches a program of a size (-1: any) and gives its SHA-256.
func (c *Client) fetchProgram(ctx context.Context, from string, size int64, arch string) (string, error) {
	out := newProgram()
	if c.Keep != nil {
		out.keep = c.Keep(arch)
	}
	err := c.transfer(ctx, request{url: from, max: MaxProgram, size: size, progress: true}, out)
	if err == nil {
		err = out.check(arch)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", display(from), err)
	}
	return out.sum(), nil
}

// published collects the checksums that a release has of an asset.
func (c *Client) published(ctx context.Context, r *Release, a *Asset) ([]checksum, error) {
	var found []checksum
	if a.SHA256 != "" {
		found = append(found, checksum{"the release's digest", a.SHA256})
	}
	for i := range r.Assets {
		list := &r.Assets[i]
		if !isChecksumFile(list.Name, a.Name) {
			continue
		}
		data, err := c.read(ctx, request{url: list.URL, max: maxChecksums, size: list.Size})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", display(list.URL), err)
		}
		sum, err := findChecksum(data, a.Name)
		if errors.Is(err, errNotListed) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", display(list.URL), err)
		}
		found = append(found, checksum{list.Name, sum})
	}
	return found, nil
}
