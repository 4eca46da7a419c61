package recipe

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/tomlread"
)

// Latest is the Version of an agent that the lock resolves.
const Latest = "latest"

type decoder struct{ *tomlread.Decoder }

// read makes the recipe of the file. A rule that depends on the strategy is left out when that is not known.
func (d *decoder) read() *Recipe {
	t := d.Top()
	d.version(t)
	r := &Recipe{Strategy: d.strategy(t)}
	r.Init = d.init(t, r.Strategy)
	r.Agent = d.agent(t, r)
	r.Source = d.source(t, r.Strategy)
	r.Filesystem = d.filesystem(t, r.Strategy)
	r.Kernel = d.kernel(t, r.Init)
	r.Mappings = d.mappings(t)
	d.runtimeKeys(t)
	d.Unknown()
	return r
}

// runtimeKeys says of keys of manifest.toml where they belong.
func (d *decoder) runtimeKeys(t *tomlread.Table) {
	for _, key := range []string{"schema_version", "name", "runtime", "enabled", "resources", "workload", "network", "env",
		"actions", "cloud_init", "devices", "labels"} {
		if t.Value(key) != nil && t.Has(key) {
			d.Errorf(d.Key(t, key), "%q says how the image runs; move it to manifest.toml", key)
		}
	}
}

func (d *decoder) version(t *tomlread.Table) {
	const write = `write version = "1"`
	switch v, ok := t.Value("version").(string); {
	case !t.Has("version"):
		d.Missing(t, "version", ": "+write)
	case !ok || v == "":
		d.Errorf(d.Data(t, "version"), "version must be a string; "+write)
	case v != "1":
		d.Errorf(d.Data(t, "version"), "version = %q is not known; %s, or use a newer fledge", v, write)
	}
}

// strategy is OCIRootfs or Initramfs, and "" when the file has neither.
func (d *decoder) strategy(t *tomlread.Table) string {
	if !t.Has("strategy") {
		d.Missing(t, "strategy", `: add strategy = "oci_rootfs" or "initramfs"`)
		return ""
	}
	d.Choice(t, "strategy", OCIRootfs, Initramfs)
	s, _ := t.Value("strategy").(string)
	if s != OCIRootfs && s != Initramfs {
		return ""
	}
	return s
}

func (d *decoder) init(top *tomlread.Table, strategy string) Init {
	t := d.Sub(top, "init")
	i := Init{Path: d.Checked(t, "path", checkInit), None: d.Boolean(t, "none")}
	if t.Present() && strategy == OCIRootfs {
		d.Errorf(t.At(), `[init] is for strategy = "initramfs": a root file system starts the agent; remove it`)
	}
	if i.Path != "" && i.None {
		d.Errorf(d.Key(t, "none"), "init.none = true and init.path exclude each other; keep one of them")
	}
	return i
}

func (d *decoder) agent(top *tomlread.Table, r *Recipe) *Agent {
	t := d.Sub(top, "agent")
	own := ""
	switch {
	case r.Init.None:
		own = "none = true"
	case r.Init.Path != "":
		own = "path"
	}
	switch {
	case t.Present() && r.Strategy == Initramfs && own != "":
		d.Errorf(t.At(), "[agent] is started by Fledge's default init alone; remove it, or [init] %s", own)
	case r.Strategy == OCIRootfs && !top.Has("agent"):
		d.Missing(top, "agent", `, which strategy = "oci_rootfs" needs: `+
			`add [agent] with source_strategy = "release" and version = "latest"`)
	case r.Strategy == Initramfs && !top.Has("agent") && own == "":
		return &Agent{Strategy: Release, Version: Latest, Repository: agent.Repository}
	}
	if a := d.agentKeys(t); t.Present() {
		return a
	}
	return nil
}

// agentStrategies has the strategy that each key of [agent] belongs to.
var agentStrategies = []struct{ key, strategy string }{
	{"version", Release}, {"repository", Release}, {"path", Local}, {"url", HTTP}, {"checksum", HTTP},
}

// agentNeeds has the key that each strategy cannot do without.
var agentNeeds = map[string]struct{ key, what string }{
	Release: {"version", `a tag such as "v0.7.3", or "latest"`},
	Local:   {"path", "the agent's file"},
	HTTP:    {"url", "https://HOST/PATH of the agent"},
}

func (d *decoder) agentKeys(t *tomlread.Table) *Agent {
	a := &Agent{
		Version:    d.stated(t, "version", "agent.version: ", agent.CheckTag),
		Repository: d.stated(t, "repository", "agent.", agent.CheckRepository),
		Path:       d.Text(t, "path"),
		URL:        d.stated(t, "url", "agent.url: ", agent.CheckURL),
	}
	if hex := d.sha256(t, "checksum"); hex != "" {
		a.Checksum = "sha256:" + hex
	}
	a.Strategy = d.Choice(t, "source_strategy", Release, Local, HTTP)
	need, known := agentNeeds[a.Strategy]
	if t.Present() && !t.Has("source_strategy") {
		d.Missing(t, "source_strategy", `: "release", "local" or "http"`)
	}
	if !known || d.wrong(t, "source_strategy") {
		return a
	}
	for _, k := range agentStrategies {
		if t.Has(k.key) && k.strategy != a.Strategy {
			d.Errorf(d.Key(t, k.key), "agent.%s belongs to source_strategy = %q, not %q; remove it",
				k.key, k.strategy, a.Strategy)
		}
	}
	if !t.Has(need.key) {
		d.Missing(t, need.key, ", which source_strategy = \""+a.Strategy+"\" needs: "+need.what)
	}
	if a.Strategy == Release {
		a.Repository = cmp.Or(a.Repository, agent.Repository)
	}
	return a
}

// wrong tells whether a key has no text in it.
func (d *decoder) wrong(t *tomlread.Table, key string) bool {
	s, _ := t.Value(key).(string)
	return s == ""
}

// stated returns a string that passes check, whose errors name the value themselves and follow prefix.
func (d *decoder) stated(t *tomlread.Table, key, prefix string, check func(string) error) string {
	s := d.Text(t, key)
	if s != "" {
		if err := check(s); err != nil {
			d.Errorf(d.Data(t, key), "%s%v", prefix, err)
		}
	}
	return s
}

// sha256 returns the digits of a checksum, with sha256: before them or without.
func (d *decoder) sha256(t *tomlread.Table, key string) string {
	s := d.Text(t, key)
	if s == "" {
		return ""
	}
	hex := sha256Of(s)
	if hex == "" {
		d.Errorf(d.Data(t, key), "%s = %.80q is not a SHA-256: 64 hexadecimal digits, with sha256: before them or without",
			t.Field(key), s)
	}
	return hex
}

func (d *decoder) source(top *tomlread.Table, strategy string) Source {
	t := d.Sub(top, "source")
	s := Source{
		Image:         d.Checked(t, "image", checkReference),
		Dockerfile:    d.Text(t, "dockerfile"),
		Context:       d.optional(t, "context"),
		Target:        d.optional(t, "target"),
		BuildArgs:     d.Texts(t, "build_args", checkBuildArg),
		BusyboxURL:    d.stated(t, "busybox_url", "source.busybox_url: ", agent.CheckURL),
		BusyboxSHA256: d.sha256(t, "busybox_sha256"),
	}
	switch image, dockerfile := t.Has("image"), t.Has("dockerfile"); {
	case image && dockerfile:
		d.Errorf(d.Key(t, "dockerfile"), "source.image and source.dockerfile exclude each other; keep one of them")
	case !image && !dockerfile && strategy == OCIRootfs:
		d.Missing(t, "image", `: strategy = "oci_rootfs" needs image or dockerfile`)
	}
	given := map[string]bool{"context": s.Context != "", "target": s.Target != "", "build_args": t.Has("build_args")}
	for _, key := range []string{"context", "target", "build_args"} {
		if given[key] && !t.Has("dockerfile") {
			d.Errorf(d.Key(t, key), "source.%s is for a Dockerfile; add source.dockerfile, or remove it", key)
		}
	}
	for _, key := range []string{"busybox_url", "busybox_sha256"} {
		if t.Has(key) && strategy == OCIRootfs {
			d.Errorf(d.Key(t, key), `source.%s is for strategy = "initramfs"; remove it`, key)
		}
	}
	if t.Has("busybox_sha256") && !t.Has("busybox_url") {
		d.Errorf(d.Key(t, "busybox_sha256"), "source.busybox_sha256 needs source.busybox_url, the file that it is of")
	}
	if s.Dockerfile != "" && s.Context == "" {
		s.Context = filepath.Dir(s.Dockerfile)
	}
	return s
}

// optional returns a string that may be empty, which is the same as absent.
func (d *decoder) optional(t *tomlread.Table, key string) string {
	if t.Has(key) && t.Value(key) == "" {
		return ""
	}
	return d.Text(t, key)
}

func (d *decoder) kernel(top *tomlread.Table, init Init) Kernel {
	t := d.Sub(top, "kernel")
	k := Kernel{Modules: d.Text(t, "modules"), Config: d.Text(t, "config")}
	if t.Present() && init.None {
		d.Errorf(t.At(), "[kernel] is for Fledge's init, which [init] none = true leaves out; remove it")
	}
	return k
}

func (d *decoder) mappings(top *tomlread.Table) []Mapping {
	t := d.Sub(top, "mappings")
	seen := map[string]string{}
	var all []Mapping
	for _, source := range t.Keys() {
		if source == "" || strings.ContainsRune(source, 0) {
			d.Errorf(d.Key(t, source), "mappings: %q is not the path of a file or folder; give one", source)
		}
		dest := d.Checked(t, source, checkDest)
		if dest == "" {
			continue
		}
		if other, ok := seen[dest]; ok && dest[len(dest)-1] != '/' {
			d.Errorf(d.Data(t, source), "mappings: %q and %q both go to %s; end it with / to put both into that folder",
				other, source, dest)
		}
		seen[dest] = source
		all = append(all, Mapping{source, dest})
	}
	slices.SortFunc(all, func(a, b Mapping) int {
		return cmp.Or(cmp.Compare(a.Dest, b.Dest), cmp.Compare(a.Source, b.Source))
	})
	return all
}
