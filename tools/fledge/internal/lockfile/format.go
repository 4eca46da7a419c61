package lockfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/fledge-build/fledge/internal/tomlread"
)

// version is that of the format.
const version = 1

const header = `# What the tags, versions and URLs of the recipe stand for. fledge build writes this file and keeps to it. Commit it, so that
# every build has the same bytes; fledge update renews it.
version = 1
`

// Format renders the lock: the same bytes for the same pins.
func (l *Lock) Format() []byte {
	var out bytes.Buffer
	out.WriteString(header)
	line := func(key, value string) { fmt.Fprintf(&out, "%s = %s\n", key, quote(value)) }
	for _, i := range sorted(l.Images, func(i Image) string { return i.Reference }) {
		out.WriteString("\n[[image]]\n")
		line("reference", i.Reference)
		line("digest", i.Digest)
	}
	for _, a := range sorted(l.Agents, func(a Agent) string { return a.Source }) {
		out.WriteString("\n[[agent]]\n")
		line("source", a.Source)
		if a.Version != "" {
			line("version", a.Version)
		}
		for _, arch := range a.archs() {
			line("sha256."+arch, a.SHA256[arch])
		}
	}
	for _, b := range sorted(l.Busybox, func(b Busybox) string { return b.URL }) {
		out.WriteString("\n[[busybox]]\n")
		line("url", b.URL)
		line("sha256", b.SHA256)
	}
	return out.Bytes()
}

func sorted[T any](all []T, key func(T) string) []T {
	return slices.SortedFunc(slices.Values(all), func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

// quote writes a TOML basic string. JSON has the same escapes, and strings here are printable.
func quote(s string) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.Encode(s) // of a string into memory
	return strings.TrimSuffix(out.String(), "\n")
}

// Parse reads a fledge.lock, which errors call file. All that is wrong with it is told in one error, a line each, as
// FILE:LINE:COLUMN: message.
func Parse(file string, src []byte) (*Lock, error) {
	toml, err := tomlread.New(file, src, MaxSize)
	if err != nil {
		return nil, err
	}
	d := decoder{toml}
	l := d.read()
	if err := d.Err(); err != nil {
		return nil, err
	}
	return l, nil
}

type decoder struct{ *tomlread.Decoder }

func (d decoder) read() *Lock {
	t := d.Top()
	d.Required(t, "version")
	n, ok := tomlread.Get[int64](d.Decoder, t, "version", "an integer")
	if ok && n > version {
		d.Errorf(d.Data(t, "version"), "version = %d is of a newer fledge, and this one reads %d; use the newer one", n, version)
		return nil
	}
	if ok && n < 1 {
		d.Errorf(d.Data(t, "version"), "version = %d is not known; this fledge reads %d", n, version)
	}
	l := &Lock{}
	for _, t := range d.tables(t, "image", "reference") {
		d.Required(t, "digest")
		l.Images = append(l.Images, Image{d.Checked(t, "reference", checkReference), d.Checked(t, "digest", checkDigest)})
	}
	for _, t := range d.tables(t, "agent", "source") {
		before := d.Errors()
		a := Agent{d.Checked(t, "source", checkSource), d.Checked(t, "version", checkText), d.Texts(t, "sha256", checkArch)}
		if len(a.SHA256) == 0 && before == d.Errors() {
			d.Errorf(t.At(), "%s has no sha256; run fledge update", t.Name())
		}
		l.Agents = append(l.Agents, a)
	}
	for _, t := range d.tables(t, "busybox", "url") {
		d.Required(t, "sha256")
		l.Busybox = append(l.Busybox, Busybox{d.Checked(t, "url", checkText), d.Checked(t, "sha256", checkSHA256)})
	}
	d.Unknown()
	return l
}

// tables gives an array of tables that each have another value of a key.
func (d decoder) tables(top *tomlread.Table, key, id string) []*tomlread.Table {
	all := d.Subs(top, key)
	seen := map[any]bool{}
	for _, t := range all {
		d.Required(t, id)
		v, ok := t.Value(id).(string)
		if ok && seen[v] {
			d.Errorf(d.Data(t, id), "%s = %q is there already; remove one of them", t.Field(id), v)
		}
		seen[v] = true
	}
	return all
}

// The checks complete the sentence "KEY = VALUE …".

func checkText(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("has a character that is not printable")
	}
	return nil
}

func checkReference(s string) error {
	transport, rest, _ := strings.Cut(s, ":")
	if rest == "" || !slices.Contains([]string{"docker", "docker-daemon", "oci", "oci-archive", "docker-archive"}, transport) {
		return errors.New("is not an image with its transport, such as docker://docker.io/library/nginx:alpine")
	}
	return checkText(s)
}

func checkSource(s string) error {
	if rest, ok := strings.CutPrefix(s, "release "); ok && len(strings.Fields(rest)) != 2 {
		return errors.New("is neither a URL nor release REPOSITORY VERSION")
	}
	return checkText(s)
}

func checkDigest(s string) error {
	hex, ok := strings.CutPrefix(s, "sha256:")
	if !ok || checkSHA256(hex) != nil {
		return errors.New("is not a digest: sha256: and 64 lower-case hexadecimal digits")
	}
	return nil
}

func checkSHA256(s string) error {
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return errors.New("is not a SHA-256: 64 lower-case hexadecimal digits")
	}
	return nil
}

func checkArch(arch, sum string) error {
	if arch == "" || strings.Trim(arch, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return errors.New("is not an architecture, such as amd64")
	}
	if err := checkSHA256(sum); err != nil {
		return fmt.Errorf("= %q %w", sum, err)
	}
	return nil
}
