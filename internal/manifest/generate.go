package manifest

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/tomlread"
	"github.com/fledge-build/fledge/internal/verity"
)

// CompatVolant07 is the Compat for the manifest parser of Volant 0.7.
const CompatVolant07 = "volant-0.7"

// File is an artifact of the build.
type File struct {
	Name     string         // beside the manifest
	Format   string         // of a rootfs; that of an initramfs shows in its name
	Checksum string         // sha256:<64 hex digits>
	Verity   *verity.Params // of a rootfs with a hash tree of dm-verity, else nil
}

// Options are what manifest.toml does not say.
type Options struct {
	Name      string // for a manifest.toml without a name
	RootFS    *File  // at least one of RootFS and Initramfs is there
	Initramfs *File
	Compat    string // "" for the full form, or CompatVolant07
	Unpacked  int64  // bytes of memory that the initramfs takes unpacked, 0 when it is a small one

	Config     *ocilayout.Config // of the image, may be nil
	ConfigFile string            // where Config is from, for errors
}

// Generate makes manifest.json of the manifest.toml in src, which errors call file. All that is wrong with it is told
// in one error, a line each, as FILE:LINE:COLUMN: message.
func Generate(file string, src []byte, o Options) (*Manifest, error) {
	toml, err := tomlread.New(file, src, MaxTOML)
	if err != nil {
		return nil, err
	}
	var image imageDefaults
	if o.Config != nil {
		image.Execution = o.Config.Config
	}
	d := &decoder{Decoder: toml, configFile: o.ConfigFile, httpOnly: o.Compat == CompatVolant07}
	m := d.read(o.Name, image)
	if err := d.err(); err != nil {
		return nil, err
	}
	if err := m.addArtifacts(o); err != nil {
		return nil, err
	}
	switch o.Compat {
	case "":
	case CompatVolant07:
		m.narrow()
	default:
		return nil, fmt.Errorf("compat %q is not known; known is %q", o.Compat, CompatVolant07)
	}
	if err := m.checkCmdline(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := checkMemory(m.Resources.MemoryMB, o.Unpacked); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

var (
	rootfsFormats    = []string{"squashfs", "erofs", "ext4", "xfs", "btrfs", "raw", "qcow2"}
	verityFormats    = []string{"squashfs", "erofs"}
	initramfsFormats = []string{"cpio", "cpio.gz", "cpio.zst", "cpio.xz", "cpio.lz4"}
)

func (m *Manifest) addArtifacts(o Options) error {
	if o.RootFS == nil && o.Initramfs == nil {
		return errors.New("there is neither a rootfs nor an initramfs to boot from")
	}
	if f := o.RootFS; f != nil {
		if !slices.Contains(rootfsFormats, f.Format) {
			return fmt.Errorf("rootfs format %q is not known%s", f.Format, tomlread.Suggest(f.Format, rootfsFormats))
		}
		if f.Verity != nil && !slices.Contains(verityFormats, f.Format) {
			return fmt.Errorf("rootfs format %q has no hash tree of dm-verity: those that the guest cannot write to have one, %s",
				f.Format, strings.Join(verityFormats, " and "))
		}
		m.RootFS = &Artifact{relativeURL(f.Name), f.Format, f.Checksum, f.Verity}
	}
	if f := o.Initramfs; f != nil {
		i := slices.IndexFunc(initramfsFormats, func(s string) bool { return strings.HasSuffix(f.Name, "."+s) })
		if i < 0 {
			return fmt.Errorf("initramfs %s: the name must end with one of .%s", f.Name,
				strings.Join(initramfsFormats, ", ."))
		}
		m.Initramfs = &Artifact{URL: relativeURL(f.Name), Format: initramfsFormats[i], Checksum: f.Checksum}
	}
	return nil
}

func relativeURL(name string) string {
	return (&url.URL{Path: path.Base(name)}).String()
}

// narrow rewrites the manifest for the parser of Volant 0.7: it knows raw and qcow2 disks, http workloads and the
// environment of the workload alone. What was there before is kept in labels.
func (m *Manifest) narrow() {
	if m.RootFS != nil && m.RootFS.Format != "raw" && m.RootFS.Format != "qcow2" {
		m.Labels[labelFormat] = m.RootFS.Format
		m.RootFS.Format = "raw"
	}
	if m.RootFS != nil && m.RootFS.Verity != nil {
		v := m.RootFS.Verity
		m.Labels[labelRootHash], m.Labels[labelSalt] = v.RootHash.String(), v.Salt.String()
		m.Labels[labelHashOffset] = strconv.FormatInt(v.HashOffset, 10)
		m.RootFS.Verity = nil
	}
	if m.Initramfs != nil {
		m.Initramfs.Format = ""
	}
	if m.Workload.Type != "http" {
		m.Labels[labelType] = m.Workload.Type
		m.Workload.Type = "http"
	}
	env := maps.Clone(m.Env)
	maps.Copy(env, m.Workload.Env)
	m.Workload.Env, m.Env = env, nil
	if len(m.Network.Expose) > 0 {
		ports := make([]string, len(m.Network.Expose))
		for i, p := range m.Network.Expose {
			ports[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
			if p.HostPort > 0 {
				ports[i] = fmt.Sprintf("%d:%s", p.HostPort, ports[i])
			}
		}
		m.Labels[labelExpose] = strings.Join(ports, " ")
		m.Network.Expose = nil
	}
}
