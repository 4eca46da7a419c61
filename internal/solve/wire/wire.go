// Package wire is the contract of the two halves of a solve: the host, which boots the build machine, and the guest,
// which is PID 1 in it. It needs the standard library alone, so that both halves, modules of their own, can link it.
//
//	input disk    read-only  a tar archive, used as it lies: job.json first, then the names below
//	secrets disk  read-only  secrets and ssh keys; only with a job that has some
//	output disk   writable   a header that says how far the guest is, its result, and from PayloadOffset on the image
//	                         and, if the job asks for it, new blobs of the cache
//	scratch disk  writable   swap space; only with ScratchSwap
//	console hvc0             one Event a line
//
// The guest tells the disks apart by their content, never by their order. It powers off when it is done; a job that
// may use the network needs the kernel parameter NetworkParameter, for there is no DHCP.
package wire

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Names in the input archive. All others are refused.
const (
	JobFile       = "job.json"   // the first entry
	ContextDir    = "context"    // the build context, context/app/main.go
	DockerfileDir = "dockerfile" // the Dockerfile and, if it has one of its own, its .dockerignore
	StoresDir     = "oci"        // base images as OCI layouts, oci/STORE/blobs/sha256/…
	CacheDir      = "cache"      // BuildKit's cache of former solves, cache/blobs/sha256/…
)

// Names in the initramfs, which does not depend on the job.
const (
	InitFile   = "init"    // the guest, a static program
	ModulesDir = "modules" // kernel modules, loaded in the order of their names: modules/000-virtio_blk.ko, unpacked
)

// NetworkParameter begins the kernel parameter that gives a guest with a network its addresses; what follows is as in the
// kernel's own ip= (Documentation/admin-guide/nfs/nfsroot.rst), for which a kernel may wait until there is a driver:
// ADDRESS::GATEWAY:MASK::::DNS.
const NetworkParameter = "fledge.ip="

// HeaderOffset is where the disks with a magic number have it, in bytes: off sector 0, which firmware may look at.
const HeaderOffset = 4096

// MagicSize is the length of a magic number, in bytes; its last digit is the version.
const MagicSize = 8

// Magic numbers of the disks, at HeaderOffset.
const (
	OutputMagic  = "FLEDGEO1"
	SecretsMagic = "FLEDGEK1"
	ScratchMagic = "FLEDGES1"
)

// IsSparse tells whether an entry has holes: it may be of any size then, however short the archive is.
func IsSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// decodeJSON reads one JSON value that has no unknown field and nothing behind it.
func decodeJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return errors.New("it is cut off")
		}
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is something behind its end, at byte %d", d.InputOffset())
	}
	return nil
}
