package pull

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/pelletier/go-toml/v2"

	"github.com/fledge-build/fledge/internal/ocilayout"
)

// rule is a [[registry]] of containers-registries.conf(5), version 2.
type rule struct {
	Prefix             string   `toml:"prefix"` // "" is Location
	Location           string   `toml:"location"`
	Insecure           bool     `toml:"insecure"`
	Blocked            bool     `toml:"blocked"`
	MirrorByDigestOnly bool     `toml:"mirror-by-digest-only"`
	Mirrors            []mirror `toml:"mirror"`

	file string // that it is in
}

type mirror struct {
	Location       string `toml:"location"`
	Insecure       bool   `toml:"insecure"`
	PullFromMirror string `toml:"pull-from-mirror"` // all, digest-only or tag-only
}

// place is where an image may be had.
type place struct {
	name            reference.Named // registry and repository
	insecure        bool            // plain http, and certificates that nobody signed, are fine
	mirror          bool
	byTag, byDigest bool // what it is asked for
}

// rulesFiles are the files with the rules. The folders' files come later, and their rules replace those before with the
// same prefix. $CONTAINERS_REGISTRIES_CONF stands alone.
func rulesFiles() ([]string, error) {
	if file := os.Getenv("CONTAINERS_REGISTRIES_CONF"); file != "" {
		return []string{file}, nil
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if home := os.Getenv("HOME"); config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	main := "/etc/containers/registries.conf"
	folders := []string{main + ".d"}
	if config != "" {
		own := filepath.Join(config, "containers", "registries.conf")
		if _, err := os.Stat(own); err == nil {
			main, folders = own, nil // the user's file is in the place of the system's
		}
		folders = append(folders, own+".d")
	}
	files := []string{main}
	for _, dir := range folders {
		found, err := filepath.Glob(filepath.Join(dir, "*.conf"))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

// readRules reads the host's rules.
func readRules() ([]rule, error) {
	files, err := rulesFiles()
	if err != nil {
		return nil, err
	}
	var all []rule
	for _, path := range files {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) && os.Getenv("CONTAINERS_REGISTRIES_CONF") == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, ocilayout.MaxJSON))
		f.Close()
		if err != nil {
			return nil, err
		}
		rules, err := parseRules(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, r := range rules {
			r.file = path
			all = slices.DeleteFunc(all, func(o rule) bool { return o.Prefix == r.Prefix })
			all = append(all, r)
		}
	}
	return all, nil
}

func parseRules(data []byte) ([]rule, error) {
	var file struct {
		Registries []rule `toml:"registry"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return nil, fmt.Errorf("line %d, column %d: %w", row, column, err)
		}
		return nil, err
	}
	for i := range file.Registries {
		r := &file.Registries[i]
		r.Location = strings.TrimRight(r.Location, "/")
		if r.Prefix == "" {
			r.Prefix = r.Location
		}
		switch {
		case r.Prefix == "":
			return nil, fmt.Errorf("[[registry]] number %d has neither prefix nor location", i+1)
		case r.Location == "" && !strings.HasPrefix(r.Prefix, "*."):
			r.Location = r.Prefix
		}
		for j := range r.Mirrors {
			m := &r.Mirrors[j]
			if m.Location = strings.TrimRight(m.Location, "/"); m.Location == "" {
				return nil, fmt.Errorf("[[registry.mirror]] number %d of %s has no location", j+1, r.Prefix)
			}
			if !slices.Contains([]string{"", "all", "digest-only", "tag-only"}, m.PullFromMirror) {
				return nil, fmt.Errorf("pull-from-mirror of %s is %q; there are all, digest-only and tag-only",
					m.Location, m.PullFromMirror)
			}
		}
	}
	return file.Registries, nil
}

// places lists where an image is asked for, the mirrors first, by the rule with the longest prefix.
func places(named reference.Named, rules []rule) ([]place, error) {
	full := reference.TrimNamed(named).Name()
	if t, ok := named.(reference.Tagged); ok {
		full += ":" + t.Tag()
	}
	var best *rule
	length := 0
	for i := range rules {
		if n := matchPrefix(full, rules[i].Prefix); n > 0 && (best == nil || len(rules[i].Prefix) > len(best.Prefix)) {
			best, length = &rules[i], n
		}
	}
	if best == nil {
		return []place{{name: reference.TrimNamed(named), byTag: true, byDigest: true}}, nil
	}
	if best.Blocked {
		return nil, fmt.Errorf("%s blocks %s", best.file, best.Prefix)
	}
	var found []place
	for _, m := range best.Mirrors {
		digestOnly := best.MirrorByDigestOnly || m.PullFromMirror == "digest-only"
		found = append(found, place{
			insecure: m.Insecure, mirror: true, byTag: !digestOnly, byDigest: m.PullFromMirror != "tag-only",
		})
		if err := found[len(found)-1].locate(m.Location, full[length:], best.file); err != nil {
			return nil, err
		}
	}
	own := place{insecure: best.Insecure, byTag: true, byDigest: true, name: reference.TrimNamed(named)}
	if best.Location != "" {
		if err := own.locate(best.Location, full[length:], best.file); err != nil {
			return nil, err
		}
	}
	return append(found, own), nil
}

// locate puts a location in the place of a prefix, before the rest of a reference.
func (p *place) locate(location, rest, file string) error {
	named, err := reference.ParseNormalizedNamed(location + rest)
	if err != nil {
		return fmt.Errorf("%s: location %s: %s%s: %w", file, location, location, rest, err)
	}
	p.name = reference.TrimNamed(named)
	return nil
}

// matchPrefix gives how many bytes of a reference a prefix stands for, 0 when it is not its.
func matchPrefix(full, prefix string) int {
	n := len(prefix)
	if suffix, ok := strings.CutPrefix(prefix, "*"); ok && strings.HasPrefix(suffix, ".") {
		i := strings.Index(full, suffix)
		if i <= 0 || strings.ContainsAny(full[:i], "/:") {
			return 0
		}
		n = i + len(suffix)
	} else if !strings.HasPrefix(full, prefix) {
		return 0
	}
	if n < len(full) && !strings.ContainsRune("/:@", rune(full[n])) {
		return 0
	}
	return n
}
