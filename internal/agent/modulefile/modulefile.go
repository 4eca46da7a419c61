// Package modulefile reads the fledge.agent tags of a MODULE.bazel, and edits those and the fledge.image and
// fledge.busybox tags. What an edit does not concern stays as it
// is, byte for byte; comments stay everywhere.
package modulefile

import (
	"errors"
	"fmt"
	"maps"

	"github.com/bazelbuild/buildtools/build"
	"github.com/bazelbuild/buildtools/edit/bzlmod"
)

// MaxSize is how large a file may be, in bytes.
const MaxSize = 4 << 20

// DefaultName is the name of a tag that has none.
const DefaultName = "kestrel"

// Agent is a fledge.agent tag. Strings that the tag does not have are empty.
type Agent struct {
	Name, Version, URL, Repository string
	SHA256, Assets                 map[string]string // by architecture
}

// same says whether two tags pin the same; assets only say what files are called.
func (a Agent) same(b Agent) bool {
	return a.Name == b.Name && a.Version == b.Version && a.URL == b.URL && a.Repository == b.Repository &&
		maps.Equal(a.SHA256, b.SHA256)
}

// Agents reads the tags of a file; name is the file's, for errors.
func Agents(name string, src []byte) ([]Agent, error) {
	m, err := parse(name, src)
	if err != nil {
		return nil, err
	}
	var agents []Agent
	for _, call := range m.tags("agent") {
		agent, err := m.agent(call)
		if err != nil {
			return nil, err
		}
		agents = append(agents, agent)
	}
	return agents, nil
}

// module is a parsed MODULE.bazel.
type module struct {
	*build.File
	src     []byte
	label   string   // of Fledge's extensions.bzl
	dev     bool     // whether Fledge is a development dependency
	known   bool     // whether the file says what Fledge is called
	proxies []string // variables of use_extension, those for development last
}

func parse(name string, src []byte) (*module, error) {
	if len(src) > MaxSize {
		return nil, fmt.Errorf("%s: has more than %d bytes", name, MaxSize)
	}
	f, err := build.ParseModule(name, src)
	if err != nil {
		return nil, err // names the file and the line
	}
	m := &module{File: f, src: src, label: "@fledge//fledge:extensions.bzl"}
	for _, dep := range f.Rules("bazel_dep") {
		if dep.AttrString("name") == "fledge" {
			if alias := dep.AttrString("repo_name"); alias != "" {
				m.label = "@" + alias + "//fledge:extensions.bzl"
			}
			m.dev, m.known = dep.AttrLiteral("dev_dependency") == "True", true
		}
	}
	for _, rule := range f.Rules("module") {
		if rule.AttrString("name") == "fledge" {
			m.label, m.known = "//fledge:extensions.bzl", true
		}
	}
	for _, dev := range []bool{false, true} {
		m.proxies = append(m.proxies, bzlmod.Proxies(f, m.label, "fledge", dev)...)
	}
	return m, nil
}

func (m *module) at(x build.Expr, format string, args ...any) error {
	start, _ := x.Span()
	return fmt.Errorf("%s:%d: %w", m.Path, start.Line, fmt.Errorf(format, args...))
}

// proxyOf gives the variable that a statement calls a tag of, "" for other statements, and the tag class.
func (m *module) proxyOf(stmt build.Expr) (proxy, class string) {
	call, ok := stmt.(*build.CallExpr)
	if !ok {
		return "", ""
	}
	dot, ok := call.X.(*build.DotExpr)
	if !ok {
		return "", ""
	}
	x, ok := dot.X.(*build.Ident)
	if !ok {
		return "", ""
	}
	for _, p := range m.proxies {
		if p == x.Name {
			return p, dot.Name
		}
	}
	return "", ""
}

// tags are the statements of a class of tags.
func (m *module) tags(class string) []*build.CallExpr {
	var tags []*build.CallExpr
	for _, stmt := range m.Stmt {
		if _, c := m.proxyOf(stmt); c == class {
			tags = append(tags, stmt.(*build.CallExpr))
		}
	}
	return tags
}

// agent reads a tag.
func (m *module) agent(call *build.CallExpr) (Agent, error) {
	a := Agent{Name: DefaultName}
	var err error
	for _, x := range call.List {
		assign, ok := x.(*build.AssignExpr)
		var key *build.Ident
		if ok {
			key, ok = assign.LHS.(*build.Ident)
		}
		if !ok {
			return a, m.at(x, "fledge.agent takes arguments by name alone")
		}
		switch key.Name {
		case "name":
			a.Name, err = text(assign.RHS)
		case "version":
			a.Version, err = text(assign.RHS)
		case "url":
			a.URL, err = text(assign.RHS)
		case "repository":
			a.Repository, err = text(assign.RHS)
		case "sha256":
			a.SHA256, err = texts(assign.RHS)
		case "assets":
			a.Assets, err = texts(assign.RHS)
		}
		if err != nil {
			return a, m.at(x, "%s: %w", key.Name, err)
		}
	}
	return a, nil
}

// named finds a tag, nil when there is none.
func (m *module) named(name string) (*build.CallExpr, error) {
	var found *build.CallExpr
	for _, call := range m.tags("agent") {
		agent, err := m.agent(call)
		if err != nil {
			return nil, err
		}
		if agent.Name != name {
			continue
		}
		if found != nil {
			return nil, m.at(call, "a second fledge.agent with the name %q; keep one", name)
		}
		found = call
	}
	return found, nil
}

var errNoLiteral = errors.New("only a string in quotes can be edited; write it out, or edit it by hand")

func text(x build.Expr) (string, error) {
	s, ok := x.(*build.StringExpr)
	if !ok {
		return "", errNoLiteral
	}
	return s.Value, nil
}

func texts(x build.Expr) (map[string]string, error) {
	dict, ok := x.(*build.DictExpr)
	if !ok {
		return nil, errors.New("only a dict of strings in quotes can be edited; write it out, or edit it by hand")
	}
	values := map[string]string{}
	for _, pair := range dict.List {
		key, err := text(pair.Key)
		if err != nil {
			return nil, err
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("two values for %q", key)
		}
		if values[key], err = text(pair.Value); err != nil {
			return nil, err
		}
	}
	return values, nil
}
