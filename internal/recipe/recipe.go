// Package recipe reads fledge.toml, which says what an image is made of. docs/fledge-toml.md is its reference.
package recipe

import (
	"path/filepath"

	"github.com/fledge-build/fledge/internal/tomlread"
)

// MaxSize is the largest fledge.toml, in bytes.
const MaxSize = 1 << 20

// Strategies: what is built.
const (
	OCIRootfs = "oci_rootfs" // a root file system of an image, with the initramfs that boots it
	Initramfs = "initramfs"  // an initramfs that is the whole system
)

// Strategies of [agent]: where the agent comes from.
const (
	Release = "release"
	Local   = "local"
	HTTP    = "http"
)

// Recipe is a fledge.toml with its defaults filled in. Paths in it are relative to Dir, or absolute.
type Recipe struct {
	File       string // as errors call it
	Dir        string // the folder of File
	Strategy   string // OCIRootfs or Initramfs
	Agent      *Agent // nil for an initramfs without Fledge's default init
	Source     Source
	Filesystem Filesystem // of OCIRootfs alone
	Init       Init       // of Initramfs alone
	Kernel     Kernel
	Mappings   []Mapping // sorted by Dest, then Source
}

// Agent says where the agent comes from.
type Agent struct {
	Strategy   string // Release, Local or HTTP
	Version    string // of Release: a tag, or "latest"
	Repository string // of Release: URL of the repository
	Path       string // of Local
	URL        string // of HTTP; {arch} stands for the architecture
	Checksum   string // of HTTP: sha256:HEX, or "" when the lock alone pins it
}

// Source says what is in the image. At most one of Image and Dockerfile is set.
type Source struct {
	Image         string
	Dockerfile    string
	Context       string // of Dockerfile; its folder by default
	Target        string // of Dockerfile; "" is the last stage
	BuildArgs     map[string]string
	BusyboxURL    string // "" is Fledge's own
	BusyboxSHA256 string // 64 hexadecimal digits, "" when the lock alone pins it
}

// Filesystem says how the root file system is written.
type Filesystem struct {
	Type             string // one of packing.Filesystems
	CompressionLevel int    // of squashfs: 1 to 22; 0 with the others
	OverlaySize      string // as bootconf.CheckSize has it
	SizeBufferMB     int    // of the writable ones: 0 is the default of ext4.Options
	Preallocate      bool   // of the writable ones
	Journal          bool   // of ext4
	Verity           bool   // of the read-only ones
	VerityRootHash   string // with Verity: HashInitramfs or HashCmdline
}

// DefaultFilesystem is that of a recipe that says no more than oci_rootfs.
func DefaultFilesystem() Filesystem {
	return Filesystem{Type: defaultType, CompressionLevel: defaultLevel, OverlaySize: defaultOverlay}
}

// Init says what runs first. Without Path and None it is Fledge's init, which starts the agent.
type Init struct {
	Path string // program of the image that Fledge's init becomes
	None bool   // whether /init of the image or of a mapping is PID 1
}

// Kernel says whose modules go in for the init to load, and what to check.
type Kernel struct {
	Modules string // lib/modules/RELEASE, a folder or a tar; "" for a kernel that has all built in
	Config  string // the configuration of the kernel, which has to have what the image needs; "" for no check
}

// Mapping puts a file or the contents of a folder into the image.
type Mapping struct {
	Source string
	Dest   string // absolute; with a slash at the end a file goes into it
}

// Parse reads a fledge.toml, which errors call file. All that is wrong with it is told in one error, a line each, as
// FILE:LINE:COLUMN: message.
func Parse(file string, src []byte) (*Recipe, error) {
	toml, err := tomlread.New(file, src, MaxSize)
	if err != nil {
		return nil, err
	}
	d := &decoder{toml}
	r := d.read()
	if err := d.Err(); err != nil {
		return nil, err
	}
	r.File, r.Dir = file, filepath.Dir(file)
	return r, nil
}
