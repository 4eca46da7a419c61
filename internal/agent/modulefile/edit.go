package modulefile

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"github.com/bazelbuild/buildtools/edit/bzlmod"
)

// Set gives the file with an agent's tag as it is to be: the tag of that name is changed, or one is added, with the
// use_extension and use_repo that it needs. Assets stay as they are. The result is src itself when nothing changes.
func Set(name string, src []byte, agent Agent) ([]byte, error) { return apply(name, src, agent) }

// apply does that for a tag of any class.
func apply(name string, src []byte, t tag) ([]byte, error) {
	out := src
	for _, step := range []func(*module, tag) ([]byte, error){addExtension, setTag, addRepo} {
		m, err := parse(name, out)
		if err != nil {
			return nil, err
		}
		if out, err = step(m, t); err != nil {
			return nil, err
		}
	}
	// What is written has to be read as what was meant, whatever the file had around it.
	m, err := parse(name, out)
	if err != nil {
		return nil, fmt.Errorf("editing it gives a file that cannot be read; edit it by hand: %w", err)
	}
	if _, same, err := t.find(m); err != nil || !same {
		return nil, fmt.Errorf("%s: cannot edit the tag %q; edit it by hand", name, cmp.Or(t.repo(), t.class()))
	}
	return out, nil
}

// addExtension adds the use_extension of a file that has none.
func addExtension(m *module, _ tag) ([]byte, error) {
	if len(m.proxies) > 0 {
		return m.src, nil
	}
	if len(m.Rules("include")) > 0 {
		return nil, fmt.Errorf("%s: includes other files and has no use_extension of Fledge: name the file that has it "+
			"with --module-file", m.Path)
	}
	if !m.known {
		return nil, fmt.Errorf("%s: has no bazel_dep(name = \"fledge\", …); add it first", m.Path)
	}
	proxy := "fledge"
	for m.assigns(proxy) {
		proxy += "_extension"
	}
	call := fmt.Sprintf("%s = use_extension(%q, \"fledge\"", proxy, m.label)
	if m.dev {
		call += ", dev_dependency = True"
	}
	call += ")"
	if len(m.src) == 0 {
		return m.insert(0, call), nil
	}
	return m.insert(len(m.src), "\n"+call), nil
}

// assigns says whether a top-level variable has a name.
func (m *module) assigns(name string) bool {
	return slices.ContainsFunc(m.Stmt, func(stmt build.Expr) bool {
		assign, ok := stmt.(*build.AssignExpr)
		if !ok {
			return false
		}
		x, ok := assign.LHS.(*build.Ident)
		return ok && x.Name == name
	})
}

// setTag changes the tag, or adds it below the extension's last.
func setTag(m *module, t tag) ([]byte, error) {
	call, same, err := t.find(m)
	if err != nil || same {
		return m.src, err
	}
	if call != nil {
		t.fill(call)
		return m.replace(call)
	}
	proxy := m.proxies[0]
	call = &build.CallExpr{
		X:              &build.DotExpr{X: &build.Ident{Name: proxy}, Name: t.class()},
		ForceMultiLine: true,
	}
	t.fill(call)
	return m.insert(m.lastUse(proxy), m.print(call)), nil
}

// lastUse is where the line of a proxy's use_extension or last tag ends.
func (m *module) lastUse(proxy string) int {
	last := 0
	for _, stmt := range m.Stmt {
		p, _ := m.proxyOf(stmt)
		if a, ok := stmt.(*build.AssignExpr); ok {
			if x, ok := a.LHS.(*build.Ident); ok {
				p = x.Name
			}
		}
		if p == proxy {
			_, end := stmt.Span()
			last = end.Byte
		}
	}
	return m.lineEnd(last)
}

// lineEnd is the start of the line after an offset, or the file's end.
func (m *module) lineEnd(offset int) int {
	if n := bytes.IndexByte(m.src[offset:], '\n'); n >= 0 {
		return offset + n + 1
	}
	return len(m.src)
}

// addRepo adds the tag's repository to the use_repo of its extension.
func addRepo(m *module, t tag) ([]byte, error) {
	call, _, err := t.find(m)
	if err != nil || call == nil || t.repo() == "" {
		return m.src, err
	}
	proxy, _ := m.proxyOf(call)
	uses := bzlmod.UseRepos(m.File, bzlmod.AllProxies(m.File, proxy))
	for _, use := range uses {
		if slices.ContainsFunc(use.List[1:], func(x build.Expr) bool { return usedRepo(x) == t.repo() }) {
			return m.src, nil
		}
	}
	repo := &build.StringExpr{Value: t.repo()}
	if len(uses) == 0 {
		use := &build.CallExpr{X: &build.Ident{Name: "use_repo"}, List: []build.Expr{&build.Ident{Name: proxy}, repo}}
		return m.insert(m.lastUse(proxy), m.print(use)), nil
	}
	// Names come before keywords, and sorted as buildifier has them.
	use := uses[len(uses)-1]
	i := 1
	for i < len(use.List) {
		if s, ok := use.List[i].(*build.StringExpr); !ok || s.Value > t.repo() {
			break
		}
		i++
	}
	use.List = slices.Insert(use.List, i, build.Expr(repo))
	return m.replace(use)
}

// usedRepo is the name that an argument of use_repo gives the extension's repository.
func usedRepo(x build.Expr) string {
	if a, ok := x.(*build.AssignExpr); ok {
		x = a.RHS
	}
	s, err := text(x)
	if err != nil {
		return ""
	}
	return s
}

// fill sets the attributes of a tag.
func (a Agent) fill(call *build.CallExpr) {
	if len(call.List) == 0 {
		setText(call, "name", a.Name)
	}
	setText(call, "version", a.Version)
	setText(call, "url", a.URL)
	setText(call, "repository", a.Repository)
	old, _ := find(call, "sha256").(*build.DictExpr)
	if old == nil {
		old = &build.DictExpr{ForceMultiLine: true}
		set(call, "sha256", old)
	}
	keep := old.List[:0]
	have := map[string]bool{}
	for _, pair := range old.List {
		key, _ := text(pair.Key)
		if sum, ok := a.SHA256[key]; ok {
			update(pair.Value.(*build.StringExpr), sum)
			keep = append(keep, pair)
			have[key] = true
		}
	}
	old.List = keep
	for _, key := range sortedKeys(a.SHA256) {
		if !have[key] {
			old.List = append(old.List, &build.KeyValueExpr{
				Key: &build.StringExpr{Value: key}, Value: &build.StringExpr{Value: a.SHA256[key]},
			})
		}
	}
}

func sortedKeys(values map[string]string) []string {
	var keys []string
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// update changes a string; the printer prefers the token that was read.
func update(s *build.StringExpr, value string) {
	if s.Value != value {
		s.Value, s.Token = value, ""
	}
}

func assign(key string, value build.Expr) *build.AssignExpr {
	return &build.AssignExpr{LHS: &build.Ident{Name: key}, Op: "=", RHS: value}
}

func argument(x build.Expr) (*build.AssignExpr, string) {
	a, ok := x.(*build.AssignExpr)
	if !ok {
		return nil, ""
	}
	key, ok := a.LHS.(*build.Ident)
	if !ok {
		return nil, ""
	}
	return a, key.Name
}

func find(call *build.CallExpr, key string) build.Expr {
	for _, x := range call.List {
		if a, name := argument(x); a != nil && name == key {
			return a.RHS
		}
	}
	return nil
}

// set adds an argument where buildifier has it: the name first, the others by the alphabet.
func set(call *build.CallExpr, key string, value build.Expr) {
	i := slices.IndexFunc(call.List, func(x build.Expr) bool {
		_, name := argument(x)
		return name != "name" && name > key
	})
	if i < 0 {
		i = len(call.List)
	}
	call.List = slices.Insert(call.List, i, build.Expr(assign(key, value)))
}

// setText sets a string, and removes an empty one.
func setText(call *build.CallExpr, key, value string) {
	switch old := find(call, key).(type) {
	case *build.StringExpr:
		if value != "" {
			update(old, value)
			return
		}
		call.List = slices.DeleteFunc(call.List, func(x build.Expr) bool {
			_, name := argument(x)
			return name == key
		})
	case nil:
		if value != "" {
			set(call, key, &build.StringExpr{Value: value})
		}
	}
}

// print formats a statement alone.
func (m *module) print(call *build.CallExpr) string {
	f := &build.File{Path: m.Path, Type: build.TypeModule, Stmt: []build.Expr{call}}
	return strings.TrimSuffix(string(build.FormatWithoutRewriting(f)), "\n")
}

// insert adds whole lines at an offset.
func (m *module) insert(offset int, lines string) []byte {
	if offset > 0 && m.src[offset-1] != '\n' {
		lines = "\n" + lines
	}
	return m.splice(offset, offset, lines+"\n")
}

// replace writes a statement that was changed in the place of what it was.
func (m *module) replace(call *build.CallExpr) ([]byte, error) {
	start, end := call.Span()
	if start.Byte > end.Byte || end.Byte > len(m.src) || start.LineRune != 1 {
		return nil, m.at(call, "cannot edit a statement that does not begin its line; edit it by hand")
	}
	// Comments before and after the statement hang on it too, and they are in the file.
	outside := func(c build.Comment) bool { return c.Start.Byte < start.Byte || c.Start.Byte >= end.Byte }
	build.WalkPointers(build.Expr(call), func(x *build.Expr, _ []build.Expr) { dropComments((*x).Comment(), outside) })
	return m.splice(start.Byte, end.Byte, m.print(call)), nil
}

func dropComments(c *build.Comments, drop func(build.Comment) bool) {
	c.Before = slices.DeleteFunc(c.Before, drop)
	c.Suffix = slices.DeleteFunc(c.Suffix, drop)
	c.After = slices.DeleteFunc(c.After, drop)
}

// splice puts text in the place of a part, with the line ends of the file.
func (m *module) splice(start, end int, text string) []byte {
	if bytes.Contains(m.src, []byte("\r\n")) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return slices.Concat(m.src[:start], []byte(text), m.src[end:])
}
