package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// message makes a protocol buffer message of pairs of a field number and its value: string, int or message.
func message(pairs ...any) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		key := uint64(pairs[i].(int)) << 3
		if n, ok := pairs[i+1].(int); ok {
			b = binary.AppendUvarint(binary.AppendUvarint(b, key), uint64(n))
			continue
		}
		data, ok := pairs[i+1].([]byte)
		if !ok {
			data = []byte(pairs[i+1].(string))
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, key|2), uint64(len(data)))
		b = append(b, data...)
	}
	return b
}

func sample() []byte {
	return message(
		5, "Rules. They make things.",
		6, "//x:defs.bzl",
		2, message(1, "ThingInfo", 2, "A thing.\n\nOf any kind.", 3, message(1, "parts", 2, "list:\n\n- `a`\n- `b`")),
		1, message(1, "thing_test", 2, "Tests a\nthing. Twice.", 3, message(1, "name", 2, "Bazel's.", 3, 1, 4, 1)),
		1, message(1, "thing", 2, "Makes one, see docs/all-things.md.",
			3, message(1, "z", 2, "How many | which.", 3, 2, 6, "3"),
			3, message(1, "a", 2, "From.", 3, 3, 6, "None", 5, message(1, "ThingInfo", 1, "OtherInfo")),
			3, message(1, "src", 2, "Source \u00e2\u0080\u00a6", 3, 7, 4, 1, 99, 5),
			5, message(1, "ThingInfo")),
		3, message(1, "make", 2, message(1, "name", 2, "Its name.", 4, 1), 2, message(1, "size", 2, "How large.", 3, "1"),
			2, message(1, "kwargs", 2, "The rest."), 3, "Makes many."),
		7, message(1, "ext", 2, "Gets things.", 3, message(1, "get", 2, "Gets one.",
			3, message(1, "name", 2, "Its name.", 3, 1, 4, 1))),
	)
}

func TestRender(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.binaryproto")
	if err := os.WriteFile(file, sample(), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run([]string{"--title", "Things", file}, &out); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/page.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("testdata/page.md (-want +got):\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	undocumented := message(5, "x", 6, "//x:defs.bzl", 1, message(1, "r", 2, "R.", 3, message(1, "a", 3, 4)))
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"an attribute without docstring", "r.a has no docstring", undocumented},
		{"an empty file", "has no docstring", nil},
		{"a new attribute type", "r.a has a type that docgen does not know: 77",
			message(1, message(1, "r", 3, message(1, "a", 3, 77)))},
		{"an aspect", "does not show yet", message(4, "f")},
		{"a length beyond the end", "a part of one", []byte{0x0a, 0x05, 'x'}},
		{"a group", "a part of one", []byte{0x0b}},
		{"half a number", "a part of one", []byte{0x08, 0x80}},
		{"half a fixed number", "a part of one", []byte{0x09, 1, 2}},
	} {
		m, err := decode(c.b)
		if err == nil {
			err = m.check()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              "plain",
		"\u00e2\u0080\u00a6": "…", // as Bazel 7 has it
		"…":                  "…",
		"é":                  "é", // no UTF-8 when taken for Latin-1
	} {
		if got := text([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
