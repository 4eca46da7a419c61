// Package ospkg reads what distributions keep of the packages installed in a file system: the databases of dpkg, apk and
// rpm, and os-release. A database of an image is hostile input: whatever it says, the readers end, with an error that
// names the place, and hold no more than a few times its size.
package ospkg

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Package managers, by the names that package URLs have for them.
const (
	Deb = "deb"
	Apk = "apk"
	RPM = "rpm"
)

// Package is one installed package.
type Package struct {
	Type          string // Deb, Apk or RPM
	Name          string
	Version       string // as the manager compares it, of rpm without the epoch: VERSION-RELEASE
	Epoch         string // of rpm; "" for none
	Arch          string // as the manager names it
	License       string // as the database states it, not always an SPDX expression; "" where it states none, as dpkg's
	Maintainer    string // often "NAME <ADDRESS>"
	Vendor        string // of rpm
	Source        string // the source package, "" when the database names none
	SourceVersion string // where it differs from Version, which only dpkg tells
}

const (
	// MaxDatabase is the size of the largest file that is read, in bytes.
	MaxDatabase = 256 << 20
	// maxPackages is several times what any distribution has.
	maxPackages = 300_000
	maxLine     = 1 << 20
)

// field is a line "KEY:VALUE" of a database that is text.
type field struct{ key, value string }

// stanzas gives the stanzas of a text database, which empty lines separate. A line that begins with a space or tab
// continues the one before it, and is left out: no field that is used has one.
func stanzas(r io.Reader, yield func(line int, fields []field) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var fields []field
	first, number, count := 1, 0, 0
	end := func() error {
		if len(fields) == 0 {
			return nil
		}
		if count++; count > maxPackages {
			return fmt.Errorf("more than %d packages", maxPackages)
		}
		err := yield(first, fields)
		fields = fields[:0]
		return err
	}
	for lines.Scan() {
		number++
		line := strings.TrimRight(lines.Text(), "\r")
		switch {
		case line == "":
			if err := end(); err != nil {
				return err
			}
			continue
		case line[0] == ' ' || line[0] == '\t':
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("line %d: %.80q is no field: it has no colon", number, line)
		}
		if len(fields) == 0 {
			first = number
		}
		if wanted[key] {
			fields = append(fields, field{key, strings.TrimSpace(value)})
		} else if len(fields) == 0 {
			fields = append(fields, field{}) // a stanza there is, whatever it lacks
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d: longer than %d bytes", number+1, maxLine)
	} else if err != nil {
		return err
	}
	return end()
}

// wanted are the fields that are kept: an apk database names every file of every package.
var wanted = map[string]bool{
	"Package": true, "Status": true, "Version": true, "Architecture": true, "Maintainer": true, "Source": true,
	"P": true, "V": true, "A": true, "L": true, "m": true, "o": true,
}

// complete fails for a package without a name or a version.
func complete(p Package, line int) error {
	if p.Name == "" {
		return fmt.Errorf("line %d: a package without a name", line)
	}
	if p.Version == "" {
		return fmt.Errorf("line %d: the package %.80q has no version", line, p.Name)
	}
	return nil
}

// ReadDpkg reads dpkg's status file (deb822, dpkg(1)), or one of a status.d folder. Packages that are not fully
// installed, of which configuration may be left, are not in the result.
func ReadDpkg(r io.Reader) (packages []Package, err error) {
	err = stanzas(r, func(line int, fields []field) error {
		p := Package{Type: Deb}
		installed := true // a status.d has no states
		for _, f := range fields {
			switch f.key {
			case "Package":
				p.Name = f.value
			case "Status":
				words := strings.Fields(f.value)
				installed = len(words) == 3 && words[2] == "installed"
			case "Version":
				p.Version = f.value
			case "Architecture":
				p.Arch = f.value
			case "Maintainer":
				p.Maintainer = f.value
			case "Source":
				name, version, _ := strings.Cut(f.value, " ")
				p.Source, p.SourceVersion = name, strings.Trim(version, "() ")
			}
		}
		if !installed {
			return nil
		}
		packages = append(packages, p)
		return complete(p, line)
	})
	return packages, err
}

// ReadApk reads apk's file lib/apk/db/installed (apk-tools, apk-db(5)).
func ReadApk(r io.Reader) (packages []Package, err error) {
	err = stanzas(r, func(line int, fields []field) error {
		p := Package{Type: Apk}
		for _, f := range fields {
			switch f.key {
			case "P":
				p.Name = f.value
			case "V":
				p.Version = f.value
			case "A":
				p.Arch = f.value
			case "L":
				p.License = f.value
			case "m":
				p.Maintainer = f.value
			case "o":
				p.Source = f.value
			}
		}
		packages = append(packages, p)
		return complete(p, line)
	})
	return packages, err
}

// Release is what os-release(5) says of a distribution.
type Release struct {
	ID         string // "debian"
	Name       string // "Debian GNU/Linux"
	VersionID  string // "12"; "" for a rolling release
	PrettyName string
}

// ReadRelease reads an os-release file. Lines that it cannot read count for nothing, as for the programs that use it.
func ReadRelease(r io.Reader) (Release, error) {
	var release Release
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		value = unquote(value)
		switch key {
		case "ID":
			release.ID = value
		case "NAME":
			release.Name = value
		case "VERSION_ID":
			release.VersionID = value
		case "PRETTY_NAME":
			release.PrettyName = value
		}
	}
	return release, lines.Err()
}

// unquote takes a shell's quotes from around a value.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = s[1 : len(s)-1]
	}
	return strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(s)
}
