// Package spdx writes the software bill of materials of an image: SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3).
package spdx

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/fledge-build/fledge/internal/inventory"
	"github.com/fledge-build/fledge/internal/release"
)

const (
	noAssertion = "NOASSERTION"
	// created is the fixed epoch: a document says nothing of when it was made, so that the same image has the same one.
	created = "1970-01-01T00:00:00Z"
	// namespace is where the documents' names begin; nothing is to be found there.
	namespace = "https://github.com/fledge-build/fledge/spdx/"

	purposeArchive         = "ARCHIVE"
	purposeApplication     = "APPLICATION"
	purposeFile            = "FILE"
	purposeLibrary         = "LIBRARY"
	purposeOperatingSystem = "OPERATING-SYSTEM"
)

// Artifact is a file that an SBOM is about.
type Artifact struct {
	Name   string // of the file, without folders
	SHA256 string // hex
}

// Image is what a document describes.
type Image struct {
	Artifact
	Boot *Artifact // the initramfs that boots a root file system, or nil
}

// document is a document while it is put together.
type document struct {
	doc       *v2_3.Document
	elements  map[common.ElementID]bool
	related   map[[3]string]bool
	extracted map[string]bool
}

// Write writes the document for an image that holds what the inventory says.
func Write(w io.Writer, image Image, inv *inventory.Inventory) error {
	d := &document{
		doc: &v2_3.Document{
			SPDXVersion:    v2_3.Version,
			DataLicense:    v2_3.DataLicense,
			SPDXIdentifier: "DOCUMENT",
			DocumentName:   image.Name,
			CreationInfo: &v2_3.CreationInfo{
				Created:  created,
				Creators: []common.Creator{{CreatorType: "Tool", Creator: "fledge-" + release.Version}},
			},
		},
		elements:  map[common.ElementID]bool{},
		related:   map[[3]string]bool{},
		extracted: map[string]bool{},
	}
	d.describe(image, inv)
	text, err := d.encode()
	if err != nil {
		return err
	}
	// A namespace is one document's: with other contents it is another one.
	sum := sha256.Sum256(text)
	d.doc.DocumentNamespace = namespace + image.SHA256 + "-" + hex.EncodeToString(sum[:8])
	if text, err = d.encode(); err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func (d *document) encode() ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d.doc)
	return text.Bytes(), err
}

const (
	imageID = "Image"
	bootID  = "BootInitramfs"
)

func (d *document) describe(image Image, inv *inventory.Inventory) {
	d.artifact(imageID, image.Artifact)
	if image.Boot != nil {
		d.artifact(bootID, *image.Boot)
	}
	layers := make([]common.ElementID, len(inv.Layers))
	for i, layer := range inv.Layers {
		layers[i] = d.layer(i, len(layers), layer)
	}
	within := func(index int) common.ElementID {
		if index == inventory.NoLayer {
			return imageID
		}
		return layers[index]
	}
	d.operatingSystem(inv.Release)
	for _, p := range inv.Packages {
		d.relate(within(p.Layer), common.TypeRelationshipContains, d.osPackage(p, inv.Release))
	}
	for _, p := range inv.Programs {
		d.relate(within(p.Layer), common.TypeRelationshipContains, d.program(p))
	}
	for _, f := range inv.Files {
		parent := common.ElementID(imageID)
		if f.Path == "" && image.Boot != nil {
			parent = bootID
		}
		d.relate(parent, common.TypeRelationshipContains, d.file(f))
	}
}

// artifact adds one of the files that the document is about.
func (d *document) artifact(id common.ElementID, a Artifact) {
	d.add(&v2_3.Package{
		PackageName:           a.Name,
		PackageSPDXIdentifier: id,
		PackageFileName:       a.Name,
		PackageChecksums:      []common.Checksum{{Algorithm: common.SHA256, Value: a.SHA256}},
		PrimaryPackagePurpose: purposeArchive,
	})
	d.relate(d.doc.SPDXIdentifier, common.TypeRelationshipDescribe, id)
}

func (d *document) layer(index, count int, layer inventory.Layer) common.ElementID {
	hexDigest := strings.TrimPrefix(layer.Digest, "sha256:")
	id := common.ElementID(fmt.Sprintf("Layer-%d-%.12s", index+1, hexDigest))
	comment := fmt.Sprintf("OCI layer %d of %d, %d bytes", index+1, count, layer.Size)
	if layer.MediaType != "" {
		comment += ", " + layer.MediaType
	}
	d.add(&v2_3.Package{
		PackageName:           layer.Digest,
		PackageSPDXIdentifier: id,
		PackageChecksums:      []common.Checksum{{Algorithm: common.SHA256, Value: hexDigest}},
		PackageComment:        comment,
		PrimaryPackagePurpose: purposeArchive,
	})
	d.relate(imageID, common.TypeRelationshipContains, id)
	return id
}

// add adds a package, unless there is one with its identifier, and says of what all have in common that nothing is known.
func (d *document) add(p *v2_3.Package) {
	if d.elements[p.PackageSPDXIdentifier] {
		return
	}
	d.elements[p.PackageSPDXIdentifier] = true
	p.PackageDownloadLocation = noAssertion
	p.IsFilesAnalyzedTagPresent = true
	p.PackageLicenseConcluded = noAssertion
	p.PackageCopyrightText = noAssertion
	if p.PackageLicenseDeclared == "" {
		p.PackageLicenseDeclared = noAssertion
	}
	if p.PackageSupplier == nil {
		p.PackageSupplier = &common.Supplier{Supplier: noAssertion}
	}
	d.doc.Packages = append(d.doc.Packages, p)
}

// relate adds a relationship, once.
func (d *document) relate(from common.ElementID, kind string, to common.ElementID) {
	key := [3]string{string(from), kind, string(to)}
	if d.related[key] {
		return
	}
	d.related[key] = true
	d.doc.Relationships = append(d.doc.Relationships, &v2_3.Relationship{
		RefA:         common.DocElementID{ElementRefID: from},
		RefB:         common.DocElementID{ElementRefID: to},
		Relationship: kind,
	})
}

var notOfIdentifiers = regexp.MustCompile(`[^a-zA-Z0-9.-]+`)

// identifier makes an identifier that people can read, and that is as unique as key.
func identifier(kind, name, key string) common.ElementID {
	sum := sha256.Sum256([]byte(key))
	name = notOfIdentifiers.ReplaceAllString(name, "-")
	return common.ElementID(fmt.Sprintf("%s-%.60s-%x", kind, name, sum[:6]))
}

// line is a value in one line, as all fields but comments are.
func line(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
}

func purlReference(purl string) []*v2_3.PackageExternalReference {
	return []*v2_3.PackageExternalReference{{
		Category: common.CategoryPackageManager,
		RefType:  common.TypePackageManagerPURL,
		Locator:  purl,
	}}
}
