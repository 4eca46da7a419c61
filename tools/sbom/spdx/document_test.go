package spdx

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/github/go-spdx/v2/spdxexp"
	"github.com/google/go-cmp/cmp"
	"github.com/package-url/packageurl-go"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdxlib"

	"github.com/fledge-build/fledge/internal/inventory"
	"github.com/fledge-build/fledge/internal/ospkg"
)

var (
	image = Image{
		Artifact: Artifact{"web.img", strings.Repeat("1", 64)},
		Boot:     &Artifact{"web.initramfs.cpio.gz", strings.Repeat("2", 64)},
	}
	program = &buildinfo.BuildInfo{
		GoVersion: "go1.26.8 X:nodwarf5",
		Path:      "example.com/app/cmd/app",
		Main:      debug.Module{Path: "example.com/app", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "github.com/spf13/cobra", Version: "v1.10.2", Sum: "h1:DMTTonx5m65Ic0GOoRY2c16WCbHxOOw6xxezuLaBpcU="},
			{Path: "example.com/fork", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/other", Version: "v1.1.0", Sum: "h1:x"}},
			{Path: "example.com/local", Version: "v0.0.0", Replace: &debug.Module{Path: "../local", Version: "(devel)"}},
		},
	}
)

// everything has all that there can be in a document.
func everything() *inventory.Inventory {
	in := func(layer int, p ospkg.Package) inventory.Package {
		return inventory.Package{Package: p, Layer: layer, Database: "/db"}
	}
	return &inventory.Inventory{
		Layers: []inventory.Layer{
			{Digest: "sha256:" + strings.Repeat("3", 64), MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Size: 5},
			{Digest: "sha256:" + strings.Repeat("3", 64), Size: 5},
		},
		Release: ospkg.Release{ID: "debian", Name: "Debian GNU/Linux", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)"},
		Packages: []inventory.Package{
			in(0, ospkg.Package{Type: "deb", Name: "libstdc++6", Version: "1:12.2.0-14+b1", Arch: "amd64", Source: "gcc-12",
				SourceVersion: "12.2.0-14", Maintainer: "Debian (GCC) Maintainers <gcc@lists.debian.org>"}),
			in(1, ospkg.Package{Type: "apk", Name: "musl", Version: "1.2.5-r0", Arch: "x86_64", License: "MIT", Source: "musl"}),
			in(1, ospkg.Package{Type: "apk", Name: "odd", Version: "1", License: "GPL-2.0-only and \"Artistic\"\nor so"}),
			in(1, ospkg.Package{Type: "apk", Name: "odd2", Version: "1", License: "GPL-2.0-only and \"Artistic\"\nor so"}),
			in(1, ospkg.Package{Type: "rpm", Name: "bash", Version: "5.1-2.fc35", Epoch: "1", Arch: "x86_64", Vendor: "Fedora Project",
				License: "GPL-3.0-or-later AND LicenseRef-Fedora-Public-Domain", Source: "bash-5.1-2.fc35.src.rpm"}),
			in(1, ospkg.Package{Type: "rpm", Name: "lower", Version: "1-1", License: "MIT and BSD-3-Clause"}),
			in(1, ospkg.Package{Type: "deb", Name: "bad\xff\nname", Version: "1 2", Maintainer: "<only@example.com>"}),
		},
		Programs: []inventory.Program{{Path: "/usr/bin/app", Layer: 1, Info: program}},
		Files: []inventory.File{
			{Kind: inventory.KindAgent, Label: "//:agent", Path: "/bin/kestrel", SHA256: strings.Repeat("4", 64), Info: program},
			{Kind: inventory.KindMapping, Label: "//:conf", Path: "/etc/conf", SHA256: strings.Repeat("5", 64)},
			{Kind: inventory.KindInit, Label: "@fledge//tools/bin:init", SHA256: strings.Repeat("6", 64)},
		},
	}
}

func write(t *testing.T, image Image, inv *inventory.Inventory) []byte {
	t.Helper()
	var text bytes.Buffer
	if err := Write(&text, image, inv); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// read reads a document with SPDX's library, and looks for what its specification demands.
func read(t *testing.T, text []byte) *spdx.Document {
	t.Helper()
	doc, err := spdxjson.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	// The order of keys is that of the library's types: a field that it does not know, or one twice, would be lost.
	again, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var one, two any
	if json.Unmarshal(text, &one) != nil || json.Unmarshal(again, &two) != nil {
		t.Fatal("no JSON")
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("what the library reads differs, -document +library:\n%s", diff)
	}
	return doc
}

var identifiers = regexp.MustCompile(`^[a-zA-Z0-9.-]+$`)

func TestDocument(t *testing.T) {
	text := write(t, image, everything())
	if !bytes.Equal(text, write(t, image, everything())) {
		t.Error("written twice, the document differs")
	}
	doc := read(t, text)
	if doc.CreationInfo.Created != "1970-01-01T00:00:00Z" || doc.DocumentName != "web.img" {
		t.Errorf("%+v", doc.CreationInfo)
	}
	defined := map[string]bool{}
	for _, l := range doc.OtherLicenses {
		defined[l.LicenseIdentifier] = true
	}
	ids := map[string]bool{"DOCUMENT": true}
	for _, p := range doc.Packages {
		id := string(p.PackageSPDXIdentifier)
		if ids[id] || !identifiers.MatchString(id) {
			t.Errorf("identifier %q, there before: %v", id, ids[id])
		}
		ids[id] = true
		if p.FilesAnalyzed || p.PackageDownloadLocation == "" || p.PackageName == "" {
			t.Errorf("%+v", p)
		}
		checkLicense(t, p.PackageLicenseDeclared, defined)
		for _, ref := range p.PackageExternalReferences {
			if _, err := packageurl.FromString(ref.Locator); err != nil {
				t.Errorf("%s: %v", ref.Locator, err)
			}
		}
	}
	for _, r := range doc.Relationships {
		if !ids[string(r.RefA.ElementRefID)] || !ids[string(r.RefB.ElementRefID)] {
			t.Errorf("%v %s %v: not both are there", r.RefA, r.Relationship, r.RefB)
		}
	}
}

func checkLicense(t *testing.T, license string, defined map[string]bool) {
	t.Helper()
	if license == noAssertion {
		return
	}
	if ok, _ := spdxexp.ValidateLicenses([]string{license}); !ok {
		t.Errorf("%q is no licence expression", license)
	}
	names, err := spdxexp.ExtractLicenses(license)
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "LicenseRef-") && !defined[name] {
			t.Errorf("%s is not explained", name)
		}
	}
}

// summary is a line for each package, and one for each relationship, without the part of identifiers that makes them unique.
func summary(doc *spdx.Document) (packages, relationships []string) {
	names := map[string]string{"DOCUMENT": "DOCUMENT"}
	for _, p := range doc.Packages {
		names[string(p.PackageSPDXIdentifier)] = strings.TrimSpace(p.PackageName + " " + p.PackageVersion)
		line := p.PackageName
		for _, ref := range p.PackageExternalReferences {
			line += " " + ref.Locator
		}
		if p.PackageSupplier != nil {
			line += " | " + p.PackageSupplier.Supplier
		}
		if p.PackageOriginator != nil {
			line += " | " + p.PackageOriginator.Originator
		}
		packages = append(packages, line+" | "+p.PackageLicenseDeclared+" | "+p.PackageComment)
	}
	for _, r := range doc.Relationships {
		from, to := names[string(r.RefA.ElementRefID)], names[string(r.RefB.ElementRefID)]
		relationships = append(relationships, from+" "+r.Relationship+" "+to)
	}
	return packages, relationships
}

func TestContents(t *testing.T) {
	layer := "sha256:" + strings.Repeat("3", 64)
	packages, relationships := summary(read(t, write(t, image, everything())))
	const none, debian = " | NOASSERTION", " | Debian GNU/Linux"
	odd := "LicenseRef-GPL-2.0-only-and-Artistic-or-so-"
	for i := range packages {
		if at := strings.Index(packages[i], odd); at >= 0 {
			packages[i] = packages[i][:at+len(odd)] + packages[i][at+len(odd)+8:]
		}
		if at := strings.Index(packages[i], "LicenseRef-MIT-and-BSD-3-Clause-"); at >= 0 {
			packages[i] = packages[i][:at+32] + packages[i][at+40:]
		}
	}
	built := none + " | Go program example.com/app/cmd/app, built with go1.26.8 X:nodwarf5"
	want := []string{
		"web.img" + none + none + " | ",
		"web.initramfs.cpio.gz" + none + none + " | ",
		layer + none + none + " | OCI layer 1 of 2, 5 bytes, application/vnd.oci.image.layer.v1.tar+gzip",
		layer + none + none + " | OCI layer 2 of 2, 5 bytes",
		"debian" + none + none + " | Debian GNU/Linux 12 (bookworm)",
		"libstdc++6 pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bb1?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14" + debian +
			" | Debian [GCC] Maintainers (gcc@lists.debian.org)" + none + " | ",
		"musl pkg:apk/debian/musl@1.2.5-r0?arch=x86_64&distro=debian-12" + debian + " | MIT | ",
		"odd pkg:apk/debian/odd@1?distro=debian-12" + debian + " | " + odd + " | ",
		"odd2 pkg:apk/debian/odd2@1?distro=debian-12" + debian + " | " + odd + " | ",
		"bash pkg:rpm/debian/bash@5.1-2.fc35?arch=x86_64&distro=debian-12&epoch=1&upstream=bash-5.1-2.fc35.src.rpm | Fedora Project" +
			" | GPL-3.0-or-later AND LicenseRef-Fedora-Public-Domain | ",
		"lower pkg:rpm/debian/lower@1-1?distro=debian-12" + debian + " | LicenseRef-MIT-and-BSD-3-Clause- | ",
		"bad\uFFFD name pkg:deb/debian/bad%EF%BF%BD%20name@1%202?distro=debian-12" + debian + " | only@example.com" + none + " | ",
		"/usr/bin/app pkg:golang/example.com/app#cmd/app" + none + built,
		"stdlib pkg:golang/stdlib@1.26.8" + none + none + " | ",
		"github.com/spf13/cobra pkg:golang/github.com/spf13/cobra@v1.10.2" + none + none +
			" | go.sum: h1:DMTTonx5m65Ic0GOoRY2c16WCbHxOOw6xxezuLaBpcU=",
		"example.com/other pkg:golang/example.com/other@v1.1.0" + none + none + " | go.sum: h1:x",
		"example.com/local pkg:golang/example.com/local" + none + none + " | ",
		"agent pkg:golang/example.com/app#cmd/app" + none + built,
		"/etc/conf" + none + none + " | ",
		"fledge-init" + none + none + " | ",
	}
	if diff := cmp.Diff(want, packages); diff != "" {
		t.Errorf("packages, -want +got:\n%s", diff)
	}
	for _, want := range []string{
		"DOCUMENT DESCRIBES web.img", "DOCUMENT DESCRIBES web.initramfs.cpio.gz", "web.img CONTAINS debian 12",
		layer + " CONTAINS libstdc++6 1:12.2.0-14+b1", layer + " CONTAINS bash 1:5.1-2.fc35", layer + " CONTAINS /usr/bin/app",
		"/usr/bin/app DEPENDS_ON stdlib 1.26.8", "agent DEPENDS_ON github.com/spf13/cobra v1.10.2", "web.img CONTAINS agent",
		"web.img CONTAINS /etc/conf", "web.initramfs.cpio.gz CONTAINS fledge-init 0.1.0",
	} {
		if !slices.Contains(relationships, want) {
			t.Errorf("there is no %q in\n%s", want, strings.Join(relationships, "\n"))
		}
	}
}

// Another image has another namespace, and so has the same image when the document says something else.
func TestNamespaces(t *testing.T) {
	other := image
	other.SHA256 = strings.Repeat("7", 64)
	more := everything()
	more.Files = more.Files[:1]
	seen := map[string]bool{}
	for _, text := range [][]byte{
		write(t, image, everything()), write(t, other, everything()), write(t, image, more), write(t, Image{Artifact: image.Artifact}, &inventory.Inventory{}),
	} {
		namespace := read(t, text).DocumentNamespace
		if seen[namespace] || !strings.HasPrefix(namespace, "https://") {
			t.Errorf("namespace %s, there before: %v", namespace, seen[namespace])
		}
		seen[namespace] = true
	}
}
