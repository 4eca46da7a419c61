package migrate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/agent/modulefile"
	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
)

// unlocked is the error of something that the lock does not pin.
func (p *planner) unlocked(what string) {
	p.errorf("%s is not in %s, and Bazel takes what is pinned alone: run fledge build first", what, p.LockFile)
}

// addImage sets the attributes that say what the image begins with, and pins that.
func (p *planner) addImage(r *rule) {
	src := p.Recipe.Source
	if src.BusyboxURL != "" {
		p.addBusybox()
	}
	switch {
	case src.Dockerfile != "":
		p.addDockerfile(r)
		return
	case src.Image == "":
		return
	}
	ref, err := pull.ParseReference(src.Image, p.dir)
	if err != nil {
		p.errorf("source.image: %w", err)
		return
	}
	switch ref.Transport {
	case pull.Daemon:
		name := strings.TrimPrefix(ref.String(), pull.Daemon+":")
		p.errorf("source.image: Bazel does not ask a daemon; run docker save -o image.tar %s and write image = \"docker-archive:image.tar\"",
			name)
	case pull.Layout:
		p.addLayout(r, ref)
	case pull.Archive, pull.DockerArchive:
		if rel, ok := p.inside("source.image", ref.Path); ok {
			r.setText("image", fileLabel(rel))
		}
	default:
		r.setText("image", "@"+p.pin(ref.String()))
	}
}

// addLayout declares the files of an OCI layout.
func (p *planner) addLayout(r *rule, ref pull.Reference) {
	rel, ok := p.inside("source.image", ref.Path)
	if !ok {
		return
	}
	if rel == "." {
		p.errorf("source.image: the folder of the recipe is the layout; move that into a folder of its own")
		return
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, rel, "index.json"))
	if err != nil {
		p.errorf("source.image: %w", err)
		return
	}
	var index struct{ Manifests []json.RawMessage }
	if err := json.Unmarshal(raw, &index); err != nil || len(raw) > ocilayout.MaxJSON {
		p.errorf("source.image: %s/index.json is not the index of an OCI layout", rel)
		return
	}
	if ref.Tag != "" && len(index.Manifests) != 1 {
		p.errorf("source.image: %s has %d images, and the rules take one by its platform, not by its tag: "+
			"skopeo copy %s oci:OTHER makes a layout of one", rel, len(index.Manifests), p.Recipe.Source.Image)
	}
	r.setText("image", p.fileGroup(rel))
}

// pin declares an image of a registry, given in full, and names its repository.
func (p *planner) pin(canonical string) (repo string) {
	named, err := reference.ParseNormalizedNamed(strings.TrimPrefix(canonical, "docker://"))
	if err != nil {
		p.errorf("image %s: %w", canonical, err)
		return ""
	}
	image := modulefile.Image{Image: reference.FamiliarString(named)}
	if _, ok := named.(reference.Digested); !ok {
		if image.Digest = p.Lock.Image(canonical); image.Digest == "" {
			p.unlocked("image " + image.Image)
		}
	}
	used := func(name string) bool {
		return slices.ContainsFunc(p.images, func(i modulefile.Image) bool { return i.Name == name })
	}
	full := repoName(reference.TrimNamed(named).Name(), named)
	if image.Name = repoName(reference.Path(named)[strings.LastIndex(reference.Path(named), "/")+1:], named); used(image.Name) {
		image.Name = full
	}
	p.images = append(p.images, image)
	return image.Name
}

var notInRepo = regexp.MustCompile(`[^a-z0-9]+`)

// repoName makes the name of a repository of that of an image and its tag: nginx:alpine is nginx_alpine.
func repoName(name string, named reference.Named) string {
	if tagged, ok := named.(reference.Tagged); ok && tagged.Tag() != "latest" {
		name += "_" + tagged.Tag()
	}
	name = strings.Trim(notInRepo.ReplaceAllString(strings.ToLower(name), "_"), "_")
	if name == "config" || strings.HasPrefix(name, "layer_") || name[0] <= '9' {
		name = "image_" + name
	}
	return name
}

// addAgent sets the agent, and pins it.
func (p *planner) addAgent(r *rule) {
	a := p.Recipe.Agent
	if a == nil {
		return
	}
	if a.Strategy == recipe.Local {
		if rel, ok := p.inside("agent.path", a.Path); ok {
			r.setText("agent", fileLabel(rel))
		}
		return
	}
	source, what := a.URL, "agent "+a.URL
	if a.Strategy == recipe.Release {
		source, what = lockfile.ReleaseSource(a.Repository, a.Version), "agent "+a.Version+" of "+a.Repository
	}
	pin := p.pinned(source)
	if a.Checksum != "" {
		pin = &lockfile.Agent{SHA256: map[string]string{"amd64": strings.TrimPrefix(a.Checksum, "sha256:")}}
	}
	if pin == nil {
		p.unlocked(what)
		return
	}
	p.agent = &modulefile.Agent{Name: modulefile.DefaultName, Version: pin.Version, URL: a.URL, SHA256: pin.SHA256}
	if a.Repository != agent.Repository {
		p.agent.Repository = a.Repository
	}
	r.setText("agent", "@"+p.agent.Name)
}

func (p *planner) pinned(source string) *lockfile.Agent {
	if p.Lock == nil {
		return nil
	}
	i := slices.IndexFunc(p.Lock.Agents, func(a lockfile.Agent) bool { return a.Source == source })
	if i < 0 {
		return nil
	}
	return &p.Lock.Agents[i]
}

func (p *planner) addBusybox() {
	src := p.Recipe.Source
	sum := cmp.Or(src.BusyboxSHA256, p.Lock.BusyboxSHA(src.BusyboxURL))
	if sum == "" {
		p.unlocked("busybox " + src.BusyboxURL)
	}
	p.busybox = &modulefile.Busybox{URL: src.BusyboxURL, SHA256: sum}
}

var (
	fromLine  = regexp.MustCompile(`(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?`)
	noComment = regexp.MustCompile(`(?m)^[ \t]*#.*$`)
)

// bases pins the images that a Dockerfile builds upon: those of the lock. One that the Dockerfile names, and the lock does
// not have, is an error.
func (p *planner) bases(dockerfile []byte) map[string]string {
	bases := map[string]string{}
	if p.Lock != nil {
		for _, i := range p.Lock.Images {
			if canonical := i.Reference; strings.HasPrefix(canonical, "docker://") {
				repo := p.pin(canonical)
				bases[p.images[len(p.images)-1].Image] = "@" + repo
			}
		}
	}
	stages := map[string]bool{"scratch": true}
	for _, m := range fromLine.FindAllSubmatch(noComment.ReplaceAll(dockerfile, nil), -1) {
		name := string(m[1])
		known := stages[strings.ToLower(name)] || bytes.ContainsRune(m[1], '$')
		stages[strings.ToLower(string(m[2]))] = true
		if known {
			continue
		}
		ref, err := pull.ParseReference("docker://"+name, p.dir)
		switch {
		case err != nil:
			p.errorf("%s: FROM %s: %w", p.Recipe.Source.Dockerfile, name, err)
		case p.Lock.Image(ref.String()) == "":
			p.unlocked("image " + name + " of " + p.Recipe.Source.Dockerfile)
		}
	}
	return bases
}
