// Package provenance says how an image was built: an in-toto Statement v1 (github.com/in-toto/attestation, spec/v1) with
// SLSA's provenance as its predicate (slsa.dev/spec/v1.0/provenance). It is not signed.
//
// The types are of its own: those of in-toto are made of protocol buffers, whose JSON differs from run to run on purpose.
package provenance

import (
	"encoding/json"
	"io"

	"github.com/fledge-build/fledge/internal/release"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	// BuildType names what the parameters mean: docs/sbom.md says it.
	BuildType = "https://github.com/fledge-build/fledge/blob/main/docs/sbom.md#build-type-v1"
	// DefaultBuilder is the builder that nobody named: whoever runs Bazel.
	DefaultBuilder = "https://github.com/fledge-build/fledge/blob/main/docs/sbom.md#unknown-builder"
)

// Digest is a set of digests: algorithm to value, "sha256" or "dirHash" to lower case hexadecimal digits.
type Digest map[string]string

// Descriptor names a file.
type Descriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      Digest            `json:"digest,omitempty"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Statement is a provenance statement.
type Statement struct {
	Type          string       `json:"_type"`
	Subject       []Descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     Predicate    `json:"predicate"`
}

// Predicate is SLSA's provenance.
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what was asked for and what it was made of.
type BuildDefinition struct {
	BuildType            string          `json:"buildType"`
	ExternalParameters   json.RawMessage `json:"externalParameters"` // an object
	ResolvedDependencies []Descriptor    `json:"resolvedDependencies"`
}

// RunDetails say who built. When it was is left out: the same inputs give the same statement.
type RunDetails struct {
	Builder Builder `json:"builder"`
}

// Builder is who built.
type Builder struct {
	ID      string            `json:"id"` // a URI
	Version map[string]string `json:"version"`
}

// New makes a statement. parameters is a JSON object, and an empty builder the DefaultBuilder.
func New(subjects []Descriptor, parameters json.RawMessage, dependencies []Descriptor, builder string) *Statement {
	if builder == "" {
		builder = DefaultBuilder
	}
	return &Statement{
		Type:          statementType,
		Subject:       subjects,
		PredicateType: predicateType,
		Predicate: Predicate{
			BuildDefinition: BuildDefinition{
				BuildType:            BuildType,
				ExternalParameters:   parameters,
				ResolvedDependencies: dependencies,
			},
			RunDetails: RunDetails{Builder{ID: builder, Version: map[string]string{"fledge": release.Version}}},
		},
	}
}

// Write writes the statement as JSON.
func (s *Statement) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(s)
}
