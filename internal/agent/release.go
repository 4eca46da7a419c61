package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const (
	maxRelease = 4 << 20 // bytes of JSON; 1000 assets take 2 MB
	maxTag     = 255

	tagCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/"
)

// Release is a release as GitHub's API describes it.
type Release struct {
	Tag    string
	Assets []Asset
}

// Asset is a file of a release.
type Asset struct {
	Name   string
	URL    string
	Size   int64
	SHA256 string // "" in releases from before GitHub took checksums
}

func (r *Release) asset(name string) *Asset {
	for i := range r.Assets {
		if r.Assets[i].Name == name {
			return &r.Assets[i]
		}
	}
	return nil
}

// names lists the assets, for errors.
func (r *Release) names() string {
	if len(r.Assets) == 0 {
		return "no files"
	}
	var names []string
	for _, a := range r.Assets {
		names = append(names, a.Name)
	}
	return fmt.Sprintf("%.500s", strings.Join(names, ", "))
}

// DecodeRelease reads the JSON of one release:
// https://docs.github.com/en/rest/releases/releases#get-a-release-by-tag-name. Files that are still being uploaded are
// left out.
func DecodeRelease(data []byte) (*Release, error) {
	var raw struct {
		Tag    string `json:"tag_name"`
		Draft  bool   `json:"draft"`
		Assets []struct {
			Name   string  `json:"name"`
			State  string  `json:"state"`
			Size   int64   `json:"size"`
			URL    string  `json:"browser_download_url"`
			Digest *string `json:"digest"`
		} `json:"assets"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("not the JSON of a release: %w", err)
	}
	if err := CheckTag(raw.Tag); err != nil {
		return nil, fmt.Errorf("tag_name: %w", err)
	}
	if raw.Draft {
		return nil, fmt.Errorf("release %s is a draft, which only its authors can fetch", raw.Tag)
	}
	r := &Release{Tag: raw.Tag}
	for _, a := range raw.Assets {
		if a.State != "" && a.State != "uploaded" {
			continue
		}
		asset := Asset{Name: a.Name, URL: a.URL, Size: a.Size}
		if err := checkName(a.Name); err != nil {
			return nil, fmt.Errorf("release %s: an asset's name: %w", r.Tag, err)
		}
		if r.asset(a.Name) != nil {
			return nil, fmt.Errorf("release %s: two assets are called %s", r.Tag, a.Name)
		}
		if a.Size < 0 {
			return nil, fmt.Errorf("release %s: %s has %d bytes", r.Tag, a.Name, a.Size)
		}
		if a.Digest != nil {
			sum, ok := strings.CutPrefix(*a.Digest, "sha256:")
			if !ok || !isSHA256(sum) {
				return nil, fmt.Errorf("release %s: %s has the digest %.80q, not sha256: and 64 lower case hexadecimal digits",
					r.Tag, a.Name, *a.Digest)
			}
			asset.SHA256 = sum
		}
		r.Assets = append(r.Assets, asset)
	}
	return r, nil
}

// CheckTag refuses tags that no release of the agent has, before they go into URLs and files.
func CheckTag(tag string) error {
	if tag == "" || len(tag) > maxTag {
		return fmt.Errorf("%.80q is no tag: 1 to %d characters", tag, maxTag)
	}
	if strings.ContainsFunc(tag, func(r rune) bool { return !strings.ContainsRune(tagCharacters, r) }) {
		return fmt.Errorf("%.80q is no tag: letters, digits and ._-+/", tag)
	}
	return nil
}

func checkName(name string) error {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'\\/#?%{}", r) }
	if name == "" || len(name) > maxTag || name[0] == '.' || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("%.80q is no file name", name)
	}
	return nil
}

// Release asks for a release of a repository: a tag, or "latest", which is the newest that is no pre-release.
func (c *Client) Release(ctx context.Context, repository, version string) (*Release, error) {
	if repository == "" {
		repository = Repository
	}
	api, owner, err := c.endpoint(repository)
	if err != nil {
		return nil, err
	}
	end := "/releases/latest"
	if version != "latest" {
		if err := CheckTag(version); err != nil {
			return nil, fmt.Errorf("version: %w", err)
		}
		end = "/releases/tags/" + url.PathEscape(version)
	}
	from := api + "/repos/" + owner + end
	data, err := c.read(ctx, request{url: from, accept: "application/vnd.github+json", max: maxRelease, size: -1})
	if errors.Is(err, errNotFound) {
		return nil, fmt.Errorf("%s has no release %s; %s/releases lists what there is",
			repository, version, repository)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", display(from), err)
	}
	r, err := DecodeRelease(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", display(from), err)
	}
	if version != "latest" && r.Tag != version {
		return nil, fmt.Errorf("%s: asked for release %s and got %s", display(from), version, r.Tag)
	}
	return r, nil
}

// CheckRepository tells whether a URL can be that of a repository with releases: https://HOST/OWNER/NAME.
func CheckRepository(repository string) error {
	_, _, err := (&Client{}).endpoint(repository)
	return err
}

// endpoint gives the root of the API for a repository, and OWNER/NAME.
func (c *Client) endpoint(repository string) (api, owner string, err error) {
	u, err := checkURL(repository)
	if err != nil {
		return "", "", fmt.Errorf("repository: %w", err)
	}
	owner = strings.Trim(u.Path, "/")
	if strings.Count(owner, "/") != 1 || u.RawQuery != "" || CheckTag(owner) != nil {
		return "", "", fmt.Errorf("repository %q: expected https://github.com/OWNER/NAME", repository)
	}
	switch {
	case c.API != "":
		return strings.TrimSuffix(c.API, "/"), owner, nil
	case u.Host == "github.com":
		return githubAPI, owner, nil
	}
	return u.Scheme + "://" + u.Host + "/api/v3", owner, nil // GitHub Enterprise
}

// errorMessage is what GitHub says in the body of a refusal; "" when it is something else.
func errorMessage(body []byte) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(bytes.TrimSpace(body), &answer) != nil || answer.Message == "" {
		return ""
	}
	return fmt.Sprintf(": %.200q", answer.Message)
}
