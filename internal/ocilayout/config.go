package ocilayout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxJSON is the largest JSON document (index, manifest, config) that is read, in bytes.
const MaxJSON = 4 << 20

// Config is what Fledge uses of an image's configuration (OCI image specification 1.1, config.md).
type Config struct {
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
	Variant      string     `json:"variant"`
	Config       Execution  `json:"config"`
	RootFS       RootFSSpec `json:"rootfs"`
}

// Execution is how the image wants to be run.
type Execution struct {
	User         string              `json:"User"`         // "user", "uid", "user:group" or "uid:gid"
	ExposedPorts map[string]struct{} `json:"ExposedPorts"` // keys "port", "port/tcp" or "port/udp"
	Env          []string            `json:"Env"`          // "NAME=value"
	Entrypoint   []string            `json:"Entrypoint"`
	Cmd          []string            `json:"Cmd"` // arguments after Entrypoint, or the whole command without one
	WorkingDir   string              `json:"WorkingDir"`
}

// RootFSSpec names the layers' uncompressed content, base layer first.
type RootFSSpec struct {
	Type    string   `json:"type"` // "layers"
	DiffIDs []string `json:"diff_ids"`
}

// ParseConfig reads an image configuration.
func ParseConfig(raw []byte) (*Config, error) {
	var c Config
	if err := parseJSON(raw, &c); err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	return &c, nil
}

// ReadConfig reads the image configuration in the file at path.
func ReadConfig(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := readBounded(f, path)
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// CheckPlatform fails when the image says that it is for another system than Linux on arch (amd64 or arm64).
func (c *Config) CheckPlatform(arch string) error {
	if os := c.OS; os != "" && os != "linux" {
		return fmt.Errorf("the image is for %s, and Fledge makes Linux guests: give an image for linux/%s", os, arch)
	}
	if c.Architecture != "" && c.Architecture != arch {
		return fmt.Errorf("the image is for %s, and the guest is %s: give an image for linux/%s, or build for the image's "+
			"processor (--platforms)", c.Architecture, arch, arch)
	}
	return nil
}

// readBounded reads the whole JSON document called what, up to MaxJSON bytes.
func readBounded(r io.Reader, what string) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxJSON+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxJSON {
		return nil, fmt.Errorf("%s is larger than the %d bytes allowed for a JSON document", what, MaxJSON)
	}
	return raw, nil
}

// parseJSON decodes one JSON document with nothing after it.
func parseJSON(raw []byte, v any) error {
	err := json.Unmarshal(raw, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON: byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("cannot be a JSON %s", kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf("byte %d: field %q cannot be a JSON %s", kind.Offset, kind.Field, kind.Value)
	}
	return err
}
