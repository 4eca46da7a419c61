package manifest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// CmdlineKey is the parameter of the kernel command line whose value is the encoded manifest.
const CmdlineKey = "volant.manifest"

const (
	// MaxCmdline is the largest encoded manifest, in bytes: the kernel cuts the command line at 2048 (x86
	// COMMAND_LINE_SIZE), and the runtime needs some of it for the console, the root device and its own address.
	MaxCmdline = 1600

	maxDecoded = 1 << 20
	listed     = 8 // parts of the manifest that an error lists
)

// EncodeCmdline encodes the manifest as the runtime puts it on the kernel command line: compact JSON, gzip, unpadded
// base64url.
func EncodeCmdline(m *Manifest) (string, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(raw); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes()), nil
}

// Parameter is the kernel parameter by which the runtime hands the manifest to the agent.
func (m *Manifest) Parameter() (string, error) {
	encoded, err := EncodeCmdline(m)
	if err != nil {
		return "", err
	}
	return CmdlineKey + "=" + encoded, nil
}

// DecodeCmdline decodes the value of CmdlineKey. Keys that it does not know are skipped: the runtime adds its own.
func DecodeCmdline(value string) (*Manifest, error) {
	packed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil, fmt.Errorf("manifest on the kernel command line: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("manifest on the kernel command line: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, maxDecoded+1))
	if err != nil {
		return nil, fmt.Errorf("manifest on the kernel command line: %w", err)
	}
	if len(raw) > maxDecoded {
		return nil, fmt.Errorf("manifest on the kernel command line: unpacks to more than %d bytes", maxDecoded)
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("manifest on the kernel command line: %w", err)
	}
	return &m, nil
}

// checkCmdline makes sure that the manifest fits on the kernel command line.
func (m *Manifest) checkCmdline() error {
	encoded, err := EncodeCmdline(m)
	if err != nil || len(encoded) <= MaxCmdline {
		return err
	}
	parts, err := m.parts()
	if err != nil {
		return err
	}
	return fmt.Errorf("the manifest takes %d bytes on the kernel command line (gzip, base64url), and %d fit; "+
		"its parts, in bytes of JSON: %s; shorten the largest, or put the values into the image",
		len(encoded), MaxCmdline, strings.Join(parts, ", "))
}

// parts lists the sizes of the largest fields, those of the workload one by one.
func (m *Manifest) parts() ([]string, error) {
	type part struct {
		name string
		size int
	}
	var parts []part
	add := func(prefix string, v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return err
		}
		for k, v := range fields {
			if k != "workload" {
				parts = append(parts, part{prefix + k, len(v)})
			}
		}
		return nil
	}
	if err := errors.Join(add("", m), add("workload.", m.Workload)); err != nil {
		return nil, err
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, p := range parts[:min(len(parts), listed)] {
		out = append(out, fmt.Sprintf("%s %d", p.name, p.size))
	}
	return out, nil
}
