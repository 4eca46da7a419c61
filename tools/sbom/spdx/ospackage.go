package spdx

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp"
	"github.com/package-url/packageurl-go"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/fledge-build/fledge/internal/inventory"
	"github.com/fledge-build/fledge/internal/ospkg"
)

func (d *document) operatingSystem(release ospkg.Release) {
	if release.ID == "" {
		return
	}
	d.add(&v2_3.Package{
		PackageName:           line(release.ID),
		PackageSPDXIdentifier: "OperatingSystem",
		PackageVersion:        line(release.VersionID),
		PackageComment:        line(release.PrettyName),
		PrimaryPackagePurpose: purposeOperatingSystem,
	})
	d.relate(imageID, common.TypeRelationshipContains, "OperatingSystem")
}

// osPackage adds a package of the distribution.
func (d *document) osPackage(p inventory.Package, release ospkg.Release) common.ElementID {
	purl := osPURL(p.Package, release)
	id := identifier("Package-"+p.Type, p.Name, purl+" "+p.Database)
	version := p.Version
	if p.Epoch != "" {
		version = p.Epoch + ":" + version
	}
	d.add(&v2_3.Package{
		PackageName:               line(p.Name),
		PackageSPDXIdentifier:     id,
		PackageVersion:            line(version),
		PackageSupplier:           supplier(p.Package, release),
		PackageOriginator:         originator(p.Maintainer),
		PackageSourceInfo:         sourceInfo(p),
		PackageLicenseDeclared:    d.license(p.License),
		PackageExternalReferences: purlReference(purl),
		PrimaryPackagePurpose:     purposeLibrary,
	})
	return id
}

func sourceInfo(p inventory.Package) string {
	info := "installed by " + map[string]string{ospkg.Deb: "dpkg", ospkg.Apk: "apk", ospkg.RPM: "rpm"}[p.Type] + ", " + p.Database
	if p.Source != "" {
		info += "; built from " + line(strings.TrimSpace(p.Source+" "+p.SourceVersion))
	}
	return line(info)
}

// osPURL is the package URL (github.com/package-url/purl-spec, types deb, apk and rpm). Its upstream is the source
// package, which advisories of distributions are about; scanners know it by that name.
func osPURL(p ospkg.Package, release ospkg.Release) string {
	namespace := release.ID
	if namespace == "" {
		namespace = map[string]string{ospkg.Deb: "debian", ospkg.Apk: "alpine"}[p.Type]
	}
	qualifiers := map[string]string{"arch": p.Arch, "epoch": p.Epoch}
	if release.ID != "" {
		qualifiers["distro"] = strings.TrimSuffix(release.ID+"-"+release.VersionID, "-")
	}
	if p.Source != "" && (p.Source != p.Name || p.SourceVersion != "") {
		qualifiers["upstream"] = p.Source
		if p.SourceVersion != "" {
			qualifiers["upstream"] += "@" + p.SourceVersion
		}
	}
	for key, value := range qualifiers {
		if value = line(value); value == "" {
			delete(qualifiers, key)
		} else {
			qualifiers[key] = value
		}
	}
	return packageurl.NewPackageURL(
		p.Type, line(namespace), line(p.Name), line(p.Version), packageurl.QualifiersFromMap(qualifiers), "",
	).ToString()
}

// supplier is who gave out the package: what rpm calls its vendor, else the distribution.
func supplier(p ospkg.Package, release ospkg.Release) *common.Supplier {
	for _, name := range []string{p.Vendor, release.Name, release.ID} {
		if name = actor(name); name != "" {
			return &common.Supplier{SupplierType: "Organization", Supplier: name}
		}
	}
	return nil
}

// originator is who maintains the package.
func originator(maintainer string) *common.Originator {
	name := actor(maintainer)
	if name == "" {
		return nil
	}
	return &common.Originator{OriginatorType: "Person", Originator: name}
}

// actor turns "NAME <ADDRESS>" into SPDX's "NAME (ADDRESS)"; parentheses of the name's own become brackets.
func actor(s string) string {
	brackets := strings.NewReplacer("(", "[", ")", "]")
	name, rest, _ := strings.Cut(line(s), "<")
	address, _, closed := strings.Cut(rest, ">")
	name, address = strings.TrimSpace(brackets.Replace(name)), strings.TrimSpace(brackets.Replace(address))
	switch {
	case !closed || address == "":
		return name
	case name == "":
		return address
	}
	return name + " (" + address + ")"
}

// license is what a package's database says of its licence, as an expression. What is none by SPDX's list gets a name that
// the document explains.
func (d *document) license(text string) string {
	text = line(text)
	if text == "" {
		return ""
	}
	valid, _ := spdxexp.ValidateLicenses([]string{text})
	names, err := spdxexp.ExtractLicenses(text)
	if !valid || err != nil || strings.Contains(text, "DocumentRef-") || hasLowerOperator(text) {
		sum := sha256.Sum256([]byte(text))
		name := fmt.Sprintf("LicenseRef-%.40s-%x", strings.Trim(notOfIdentifiers.ReplaceAllString(text, "-"), "-"), sum[:4])
		d.extract(name, text)
		return name
	}
	for _, name := range names {
		if strings.HasPrefix(name, "LicenseRef-") {
			d.extract(name, name)
		}
	}
	return text
}

// hasLowerOperator tells whether an expression has its operators in small letters, which SPDX 2.3 does not allow.
func hasLowerOperator(text string) bool {
	for _, word := range strings.Fields(text) {
		if word == "and" || word == "or" || word == "with" {
			return true
		}
	}
	return false
}

// extract explains a licence that is not on SPDX's list.
func (d *document) extract(name, text string) {
	if d.extracted[name] {
		return
	}
	d.extracted[name] = true
	d.doc.OtherLicenses = append(d.doc.OtherLicenses, &v2_3.OtherLicense{
		LicenseIdentifier: name,
		ExtractedText:     text,
		LicenseName:       text,
		LicenseComment:    "The package database names the licence so.",
	})
}
