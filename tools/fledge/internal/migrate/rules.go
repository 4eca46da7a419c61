package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/bazelbuild/buildtools/build"
)

// defs is where the rules come from.
const defs = "@fledge//fledge:defs.bzl"

// rule is a target.
type rule struct {
	kind, name string
	attrs      map[string]build.Expr
}

// owned are the attributes that a recipe says, so that one which it no longer says is removed.
var owned = []string{"agent", "base_images", "build_args", "compression_level", "config", "context", "context_mappings", "dockerfile",
	"filesystem", "image", "init", "journal", "kernel", "manifest", "mappings", "modes", "modules", "overlay_size", "preallocate",
	"size_buffer_mb", "srcs", "target", "verity", "verity_root_hash"}

func (r *rule) set(key string, value build.Expr) {
	if r.attrs == nil {
		r.attrs = map[string]build.Expr{}
	}
	r.attrs[key] = value
}

// setText sets a string; an empty one is the default.
func (r *rule) setText(key, value string) {
	if value != "" {
		r.set(key, &build.StringExpr{Value: value})
	}
}

func (r *rule) setInt(key string, value int) {
	r.set(key, &build.LiteralExpr{Token: strconv.Itoa(value)})
}

// setTrue sets a boolean; false is the default.
func (r *rule) setTrue(key string, value bool) {
	if value {
		r.set(key, &build.Ident{Name: "True"})
	}
}

// setTexts sets a dict; an empty one is the default.
func (r *rule) setTexts(key string, values map[string]string) {
	if len(values) == 0 {
		return
	}
	dict := &build.DictExpr{ForceMultiLine: len(values) > 1}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		dict.List = append(dict.List, &build.KeyValueExpr{
			Key: &build.StringExpr{Value: k}, Value: &build.StringExpr{Value: values[k]},
		})
	}
	r.set(key, dict)
}

func list(values []string) *build.ListExpr {
	l := &build.ListExpr{ForceMultiLine: len(values) > 1}
	for _, v := range values {
		l.List = append(l.List, &build.StringExpr{Value: v})
	}
	return l
}

func glob(patterns, exclude []string) build.Expr {
	call := &build.CallExpr{X: &build.Ident{Name: "glob"}, List: []build.Expr{list(patterns)}}
	if len(exclude) > 0 {
		call.List = append(call.List, &build.AssignExpr{LHS: &build.Ident{Name: "exclude"}, Op: "=", RHS: list(exclude)})
		call.ForceMultiLine = true
	}
	return call
}

// files is a list of files and a glob, as far as there are any.
func files(names, patterns, exclude []string) build.Expr {
	switch {
	case len(patterns) == 0:
		return list(names)
	case len(names) == 0:
		return glob(patterns, exclude)
	}
	return &build.BinaryExpr{X: list(names), Op: "+", Y: glob(patterns, exclude)}
}

// Build gives a BUILD file with the rules: src, which errors call file, with its own rules as they are and those of the
// plan changed or added. An empty src gives a new file.
func (p *Plan) Build(file string, src []byte) ([]byte, error) {
	f, err := build.ParseBuild(file, src)
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, r := range p.rules {
		if err := r.put(f); err != nil {
			return nil, err
		}
		if r.kind != "filegroup" {
			kinds = append(kinds, r.kind)
		}
	}
	slices.Sort(kinds)
	load(f, slices.Compact(kinds))
	return build.Format(f), nil
}

// put adds a rule to a file, or changes the one of that name. Attributes that a recipe does not say stay.
func (r *rule) put(f *build.File) error {
	var target *build.Rule
	for _, old := range f.Rules("") {
		if old.Name() != r.name {
			continue
		}
		if old.Kind() != r.kind {
			return fmt.Errorf("%s:%d: %q is a %s, and it would be a %s: give that one another name",
				f.Path, old.Call.Pos.Line, r.name, old.Kind(), r.kind)
		}
		target = old
	}
	if target == nil {
		call := &build.CallExpr{X: &build.Ident{Name: r.kind}, ForceMultiLine: true}
		f.Stmt = append(f.Stmt, call)
		target = build.NewRule(call)
		target.SetAttr("name", &build.StringExpr{Value: r.name})
	}
	for _, key := range owned {
		if _, ok := r.attrs[key]; !ok {
			target.DelAttr(key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.attrs)) {
		if old := target.Attr(key); old == nil || build.FormatString(old) != build.FormatString(r.attrs[key]) {
			target.SetAttr(key, r.attrs[key])
		}
	}
	return nil
}

// load makes a file load symbols of the rules.
func load(f *build.File, symbols []string) {
	var target *build.LoadStmt
	at := 0
	for i, stmt := range f.Stmt {
		switch s := stmt.(type) {
		case *build.LoadStmt:
			at = i + 1
			if s.Module.Value == defs {
				target = s
			}
		case *build.CommentBlock, *build.StringExpr:
			if at == i {
				at = i + 1
			}
		}
	}
	if target == nil {
		target = &build.LoadStmt{Module: &build.StringExpr{Value: defs}, ForceCompact: true}
		f.Stmt = slices.Insert(f.Stmt, at, build.Expr(target))
	}
	for _, name := range symbols {
		if !slices.ContainsFunc(target.To, func(x *build.Ident) bool { return x.Name == name }) {
			target.From = append(target.From, &build.Ident{Name: name})
			target.To = append(target.To, &build.Ident{Name: name})
		}
	}
}
