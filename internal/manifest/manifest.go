// Package manifest turns manifest.toml and an image's configuration into the manifest.json that the runtime boots.
//
// docs/manifest.md tells every field of manifest.toml; docs/manifest.schema.json is the schema of manifest.json.
package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/fledge-build/fledge/internal/tomlread"
	"github.com/fledge-build/fledge/internal/verity"
)

// Manifest is manifest.json, the runtime's description of an image (Volant image manifest, schema v1). Keys are written
// in the order of the fields, those of maps sorted.
type Manifest struct {
	SchemaVersion string            `json:"schema_version"` // "v1"
	Name          string            `json:"name"`
	Version       string            `json:"version"`
	Runtime       string            `json:"runtime"`
	Enabled       bool              `json:"enabled"` // true
	RootFS        *Artifact         `json:"rootfs,omitempty"`
	Initramfs     *Artifact         `json:"initramfs,omitempty"`
	Resources     Resources         `json:"resources"`
	Workload      Workload          `json:"workload"`
	Env           map[string]string `json:"env,omitempty"`
	Network       Network           `json:"network"`
	Actions       map[string]Action `json:"actions,omitempty"`
	CloudInit     *CloudInit        `json:"cloud_init,omitempty"`
	Devices       *Devices          `json:"devices,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
}

// Artifact is a file to boot from.
type Artifact struct {
	URL      string `json:"url"`              // relative to the manifest
	Format   string `json:"format,omitempty"` // of a rootfs: squashfs, ext4, …; of an initramfs: cpio, cpio.gz, …
	Checksum string `json:"checksum"`         // sha256:<64 hex digits>
	// Verity is the dm-verity hash tree behind a rootfs's file system, nil when it has none.
	Verity *verity.Params `json:"verity,omitempty"`
}

// Resources is the size of the machine.
type Resources struct {
	CPUCores int64 `json:"cpu_cores"`
	MemoryMB int64 `json:"memory_mb"`
}

// Workload is the process that the agent starts.
type Workload struct {
	Type       string            `json:"type"` // exec, http or grpc
	Entrypoint []string          `json:"entrypoint"`
	BaseURL    string            `json:"base_url,omitempty"` // where the agent reaches an http workload
	Env        map[string]string `json:"env,omitempty"`
	WorkDir    string            `json:"workdir,omitempty"`
}

// Network is how the machine is connected.
type Network struct {
	Mode   string `json:"mode"` // bridged, dhcp or vsock
	Expose []Port `json:"expose,omitempty"`
}

// Port is a port that the workload listens on.
type Port struct {
	Port     int64  `json:"port"`
	Protocol string `json:"protocol"`            // tcp or udp
	HostPort int64  `json:"host_port,omitempty"` // 0: the runtime decides
}

// Action is an HTTP call that the runtime offers in its own API.
type Action struct {
	Description string `json:"description,omitempty"`
	Method      string `json:"method"`
	Path        string `json:"path"`
	TimeoutMS   int64  `json:"timeout_ms,omitempty"`
}

// CloudInit is the seed of cloud-init.
type CloudInit struct {
	Datasource    string    `json:"datasource"`
	SeedMode      string    `json:"seed_mode"` // vfat
	UserData      *CloudDoc `json:"user_data,omitempty"`
	MetaData      *CloudDoc `json:"meta_data,omitempty"`
	NetworkConfig *CloudDoc `json:"network_config,omitempty"`
}

// CloudDoc is one document of the seed: its content, or a path on the host where the runtime finds it.
type CloudDoc struct {
	Inline  bool   `json:"inline,omitempty"` // true with Content
	Content string `json:"content,omitempty"`
	Path    string `json:"path,omitempty"`
}

// Devices are passed through from the host.
type Devices struct {
	PCIPassthrough []string `json:"pci_passthrough,omitempty"` // addresses such as 0000:01:00.0
	Allowlist      []string `json:"allowlist,omitempty"`       // vendor:device or vendor:*
}

// Labels that Fledge sets. They hold what the manifest has no field for; users' labels cannot begin with LabelPrefix.
const (
	LabelPrefix = "fledge."
	// LabelUser is the user of the workload, as OCI images name it: user, uid, user:group or uid:gid.
	LabelUser = LabelPrefix + "workload.user"

	labelType   = LabelPrefix + "workload.type"  // with compat: the type in the full form
	labelFormat = LabelPrefix + "rootfs.format"  // with compat: the format in the full form
	labelExpose = LabelPrefix + "network.expose" // with compat: the ports, as "8080:80/tcp 53/udp"

	// With compat: what is needed of rootfs.verity to check an image; all else has one value or follows.
	labelRootHash   = LabelPrefix + "rootfs.verity.root_hash"
	labelSalt       = LabelPrefix + "rootfs.verity.salt"
	labelHashOffset = LabelPrefix + "rootfs.verity.hash_offset"
)

// JSON renders the manifest, indented by two spaces, with a newline at the end.
func (m *Manifest) JSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// ReadFile reads a manifest.json.
func ReadFile(name string) (*Manifest, error) {
	b, err := tomlread.ReadFile(name, MaxJSON)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxJSON {
		return nil, fmt.Errorf("%s: more than %d bytes, which no manifest.json has", name, MaxJSON)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &m, nil
}
