package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// page is the Markdown written so far.
type page struct {
	bytes.Buffer
	known map[string]bool // providers that have a section
}

// render writes the page of a module.
func render(m *module, title string) []byte {
	p := &page{known: map[string]bool{}}
	for _, s := range m.providers {
		p.known[s.name] = true
	}
	p.printf("<!-- Generated from the docstrings of %s by `./bazelw run //docs:update`; do not edit. -->\n\n", m.file)
	p.printf("# %s\n\n%s\n\n", title, prose(m.doc))
	for _, s := range m.extensions {
		p.printf("%s\n\n", prose(s.doc))
		p.contents("tag", s.name+".", s.members)
		for _, tag := range s.members {
			p.rule(s.name+"."+tag.name, tag)
		}
	}
	p.contents("rule", "", m.rules)
	p.contents("provider", "", m.providers)
	for _, s := range m.rules {
		p.rule(s.name, s)
	}
	for _, s := range m.providers {
		p.provider(s)
	}
	return append(bytes.TrimRight(p.Bytes(), "\n"), '\n')
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// contents links the sections of symbols.
func (p *page) contents(kind, prefix string, symbols []symbol) {
	if len(symbols) == 0 {
		return
	}
	p.printf("| %s | |\n|---|---|\n", kind)
	for _, s := range symbols {
		p.printf("| [`%s`](#%s) | %s |\n", prefix+s.name, anchor(prefix+s.name), cell(summary(s.doc)))
	}
	p.printf("\n")
}

// rule writes the section of a rule or tag class.
func (p *page) rule(name string, s symbol) {
	p.printf("## %s\n\n%s\n\n", name, prose(s.doc))
	if len(s.attributes) > 0 {
		p.printf("| attribute | type | default | |\n|---|---|---|---|\n")
	}
	for _, a := range s.attributes {
		value := "**required**"
		switch {
		case a.required:
		case a.defaultValue == "None":
			value = "none"
		default:
			value = "`" + a.defaultValue + "`"
		}
		kind := a.kind
		if len(a.providers) > 0 {
			kind += " with " + p.links(a.providers)
		}
		id := anchor(name) + "-" + strings.TrimLeft(a.name, "*")
		p.printf("| <a id=\"%s\"></a>`%s` | %s | %s | %s |\n", id, a.name, kind, cell(value), cell(a.doc))
	}
	if len(s.attributes) > 0 {
		p.printf("\n")
	}
	if len(s.gives) > 0 {
		p.printf("Gives %s.\n\n", p.links(s.gives))
	}
}

func (p *page) provider(s symbol) {
	p.printf("## %s\n\n%s\n\n| field | |\n|---|---|\n", s.name, prose(s.doc))
	for _, field := range s.members {
		p.printf("| <a id=\"%s-%s\"></a>`%[2]s` | %s |\n", anchor(s.name), field.name, cell(field.doc))
	}
	p.printf("\n")
}

// links names providers, each with a link to its section if the page has one.
func (p *page) links(providers []string) string {
	names := make([]string, len(providers))
	for i, name := range providers {
		names[i] = "`" + name + "`"
		if p.known[name] {
			names[i] = "[" + names[i] + "](#" + anchor(name) + ")"
		}
	}
	return strings.Join(names, ", ")
}

// anchor is the fragment that GitHub gives to a heading of one word.
func anchor(heading string) string {
	return strings.ReplaceAll(strings.ToLower(heading), ".", "")
}

var (
	docsFile = regexp.MustCompile(`\bdocs/([a-z-]+\.md)\b`)
	listItem = regexp.MustCompile(`\n+- `)
)

// prose makes links of the names of pages beside this one.
func prose(doc string) string {
	return docsFile.ReplaceAllString(strings.TrimSpace(doc), "[$1]($1)")
}

// summary is the first sentence of a docstring.
func summary(doc string) string {
	first, _, _ := strings.Cut(doc, "\n\n")
	if sentence, _, more := strings.Cut(strings.ReplaceAll(first, "\n", " "), ". "); more {
		return sentence
	}
	return strings.TrimSuffix(strings.ReplaceAll(first, "\n", " "), ".")
}

// cell puts text on one line of a table; lists keep their lines.
func cell(doc string) string {
	text := strings.ReplaceAll(prose(doc), "|", `\|`)
	text = listItem.ReplaceAllString(text, "<br>• ")
	text = strings.ReplaceAll(text, "\n\n", "<br>")
	return strings.ReplaceAll(text, "\n", " ")
}
