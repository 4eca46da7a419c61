package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// module is what a Starlark file exports: message ModuleInfo of Bazel's src/main/protobuf/stardoc_output.proto, as far
// as the pages show it. Decoded by hand, since a protobuf library would be in the Go dependencies of every user.
type module struct {
	file       string // label, such as //fledge:defs.bzl
	doc        string
	rules      []symbol // and macros that stand for one
	providers  []symbol
	extensions []symbol
}

// symbol is a rule, a provider, a field of one, a module extension or a tag class.
type symbol struct {
	name, doc  string
	attributes []attribute // of a rule or tag class: required ones first, then by name
	members    []symbol    // fields of a provider, tag classes of an extension
	gives      []string    // providers that a rule's targets have
}

type attribute struct {
	name, doc    string
	kind         string
	required     bool
	defaultValue string   // as Starlark writes it
	providers    []string // one of which the attribute's targets must have
}

// kinds are the names of enum AttributeType.
var kinds = map[uint64]string{
	1: nameKind, 2: "integer", 3: "label", 4: "string", 5: "list of strings", 6: "list of integers", 7: "list of labels",
	8: "boolean", 9: "dict from label to string", 10: "dict from string to string",
	11: "dict from string to list of strings", 12: "output", 13: "list of outputs",
	14: "dict from string to label", 15: "dict from string to list of labels",
}

const nameKind = "name"

func decode(b []byte) (*module, error) {
	m := &module{}
	err := eachField(b, func(number int, _ uint64, b []byte) error {
		switch number {
		case 1:
			return appendSymbol(&m.rules, b, rule)
		case 2:
			return appendSymbol(&m.providers, b, provider)
		case 5:
			m.doc = text(b)
		case 6:
			m.file = string(b)
		case 7:
			return appendSymbol(&m.extensions, b, extension)
		case 3:
			return appendFunction(&m.rules, b)
		case 4, 8, 9:
			return errors.New("it exports an aspect, repository rule or symbolic macro, which docgen does not show yet")
		}
		return nil
	})
	for _, symbols := range [][]symbol{m.rules, m.providers, m.extensions} {
		slices.SortFunc(symbols, func(a, b symbol) int { return cmp.Compare(a.name, b.name) })
	}
	return m, err
}

// part takes what is in a symbol besides its name and docstring.
type part func(s *symbol, number int, b []byte) error

// rule leaves out the attribute "name", whose docstring is Bazel's own.
func rule(s *symbol, number int, b []byte) error {
	err := tagClass(s, number, b)
	s.attributes = slices.DeleteFunc(s.attributes, func(a attribute) bool { return a.kind == nameKind })
	return err
}

func tagClass(s *symbol, number int, b []byte) error {
	switch number {
	case 3:
		return appendAttribute(s, b)
	case 5:
		return appendProviders(&s.gives, b)
	}
	return nil
}

func provider(s *symbol, number int, b []byte) error {
	if number != 3 {
		return nil
	}
	return appendSymbol(&s.members, b, func(*symbol, int, []byte) error { return nil })
}

func extension(s *symbol, number int, b []byte) error {
	if number != 3 {
		return nil
	}
	return appendSymbol(&s.members, b, tagClass)
}

func appendSymbol(to *[]symbol, b []byte, rest part) error {
	var s symbol
	err := eachField(b, func(number int, _ uint64, b []byte) error {
		switch number {
		case 1:
			s.name = string(b)
		case 2:
			s.doc = text(b)
		default:
			return rest(&s, number, b)
		}
		return nil
	})
	slices.SortFunc(s.attributes, func(a, b attribute) int {
		if a.required != b.required {
			return map[bool]int{true: -1, false: 1}[a.required]
		}
		return cmp.Compare(a.name, b.name)
	})
	*to = append(*to, s)
	return err
}

func appendAttribute(s *symbol, b []byte) error {
	var a attribute
	var kind uint64
	err := eachField(b, func(number int, value uint64, b []byte) error {
		switch number {
		case 1:
			a.name = string(b)
		case 2:
			a.doc = text(b)
		case 3:
			kind = value
		case 4:
			a.required = value != 0
		case 5:
			return appendProviders(&a.providers, b)
		case 6:
			a.defaultValue = text(b)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.kind = kinds[kind]
	if a.kind == "" {
		return fmt.Errorf("%s.%s has a type that docgen does not know: %d", s.name, a.name, kind)
	}
	s.attributes = append(s.attributes, a)
	return nil
}

// appendFunction reads a macro (message StarlarkFunctionInfo). Its parameters keep their order; they have no type.
func appendFunction(to *[]symbol, b []byte) error {
	var s symbol
	err := eachField(b, func(number int, _ uint64, b []byte) error {
		switch number {
		case 1:
			s.name = string(b)
		case 2:
			return appendParameter(&s, b)
		case 3:
			s.doc = text(b)
		}
		return nil
	})
	*to = append(*to, s)
	return err
}

// appendParameter reads message FunctionParamInfo.
func appendParameter(s *symbol, b []byte) error {
	var a attribute
	err := eachField(b, func(number int, value uint64, b []byte) error {
		switch number {
		case 1:
			a.name = string(b)
		case 2:
			a.doc = text(b)
		case 3:
			a.defaultValue = text(b)
		case 4:
			a.required = value != 0
		}
		return nil
	})
	if !a.required && a.defaultValue == "" { // only **kwargs has none; Bazel 7 does not tell its role
		a.name, a.defaultValue = "**"+a.name, "None"
	}
	if a.name != "name" {
		s.attributes = append(s.attributes, a)
	}
	return err
}

func appendProviders(to *[]string, b []byte) error {
	return eachField(b, func(number int, _ uint64, b []byte) error {
		if number == 1 {
			*to = append(*to, string(b))
		}
		return nil
	})
}

// text undoes what Bazel 7 does to text beyond ASCII: it takes the bytes of a Starlark file for Latin-1 characters.
func text(b []byte) string {
	s := string(b)
	var latin1 []byte
	for _, r := range s {
		if r > 0xff {
			return s
		}
		latin1 = append(latin1, byte(r))
	}
	if utf8.Valid(latin1) {
		return string(latin1)
	}
	return s
}

// check fails for what has no docstring.
func (m *module) check() error {
	var missing []error
	need := func(name, doc string) {
		if doc == "" {
			missing = append(missing, fmt.Errorf("%s has no docstring", name))
		}
	}
	need(m.file, m.doc)
	var visit func(prefix string, symbols []symbol)
	visit = func(prefix string, symbols []symbol) {
		for _, s := range symbols {
			need(prefix+s.name, s.doc)
			for _, a := range s.attributes {
				need(prefix+s.name+"."+a.name, a.doc)
			}
			visit(prefix+s.name+".", s.members)
		}
	}
	visit("", m.rules)
	visit("", m.providers)
	visit("", m.extensions)
	return errors.Join(missing...)
}

var errCut = errors.New("it is no protocol buffer message, or a part of one")

// eachField calls f with every field of a message: its number, and its value if it is a number, else its bytes
// (Protocol Buffers documentation, "Encoding").
func eachField(b []byte, f func(number int, value uint64, b []byte) error) error {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return errCut
		}
		b = b[n:]
		value, n := uint64(0), 0
		var data []byte
		switch key & 7 {
		case 0, 2:
			if value, n = binary.Uvarint(b); n <= 0 {
				return errCut
			}
		case 1:
			n = 8
		case 5:
			n = 4
		default:
			return errCut
		}
		if n > len(b) {
			return errCut
		}
		b = b[n:]
		if key&7 == 2 {
			if value > uint64(len(b)) {
				return errCut
			}
			data, b = b[:value], b[value:]
		}
		if err := f(int(key>>3), value, data); err != nil {
			return err
		}
	}
	return nil
}
