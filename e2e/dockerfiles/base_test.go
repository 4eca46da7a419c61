package dockerfiles

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

// baseRef is the base image of every Dockerfile.
const baseRef = "base:1"

// baseImage is an OCI layout of two layers: a system of busybox, and a folder of all kinds of files to build upon.
type baseImage struct {
	layout string
	digest string // of its manifest
}

var errNoBusybox = errors.New("needs a static /bin/busybox: install busybox-static")

var makeBase = sync.OnceValues(func() (b baseImage, err error) {
	if b.layout = filepath.Join(workDir, "base"); runtime.GOARCH != "amd64" {
		return b, errNoBusybox // the layout is of amd64
	}
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return b, errNoBusybox
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return b, errNoBusybox
	}
	xattr, err := toolrun.BuildStatic(workDir, "./e2e/dockerfiles/xattr", runtime.GOARCH)
	if err != nil {
		return b, err
	}
	config := v1.ImageConfig{
		Env: []string{"PATH=/bin", "FROM_BASE=yes"}, Cmd: []string{"sh"}, Labels: map[string]string{"base": "1"},
		ExposedPorts: map[string]struct{}{"1/tcp": {}}, Volumes: map[string]struct{}{"/var/base": {}}, StopSignal: "SIGUSR1",
	}
	at := time.Unix(epoch, 0).UTC()
	history := []v1.History{{Created: &at, CreatedBy: "system"}, {Created: &at, CreatedBy: "things"}}
	if err := layers.WriteLayoutHistory(b.layout, layers.Gzip, config, history, system(program, xattr), things); err != nil {
		return b, err
	}
	var index v1.Index
	text, err := os.ReadFile(filepath.Join(b.layout, v1.ImageIndexFile))
	if err == nil {
		err = json.Unmarshal(text, &index)
	}
	if err == nil {
		b.digest = index.Manifests[0].Digest.String()
	}
	return b, err
})

func needBase(t *testing.T) baseImage {
	t.Helper()
	b, err := makeBase()
	if errors.Is(err, errNoBusybox) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// adder writes entries until one fails.
type adder struct {
	w   *layers.Writer
	err error
}

func (a *adder) add(kind byte, name string, mode int64, data string) {
	h := &tar.Header{Typeflag: kind, Name: name, Mode: mode, ModTime: time.Unix(1_600_000_000, 0)}
	body := strings.NewReader("")
	switch kind {
	case tar.TypeSymlink, tar.TypeLink:
		h.Linkname = data
	case tar.TypeReg:
		h.Size, body = int64(len(data)), strings.NewReader(data)
	}
	if a.err == nil {
		a.err = a.w.Add(h, body)
	}
}

// capability is cap_net_bind_service=ep (linux/capability.h, struct vfs_cap_data, revision 2).
const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// system is a layer with busybox under all its names, users and groups.
func system(busybox, xattr []byte) layers.Layer {
	const applets = "sh cat ls id echo mkdir rmdir rm cp mv ln touch chmod chown grep stat env hostname mount sleep seq head " +
		"sort find test true false pwd mknod mkfifo dd wc tr sed cut ip printf truncate sha256sum tar gzip readlink"
	return func(w *layers.Writer) error {
		a := adder{w: w}
		for _, d := range strings.Fields("bin etc home home/app root var") {
			a.add(tar.TypeDir, d+"/", 0o755, "")
		}
		a.add(tar.TypeDir, "tmp/", 0o1777, "")
		a.add(tar.TypeReg, "bin/busybox", 0o755, string(busybox))
		a.add(tar.TypeReg, "bin/xattr", 0o755, string(xattr))
		for _, name := range strings.Fields(applets) {
			a.add(tar.TypeSymlink, "bin/"+name, 0o777, "busybox")
		}
		a.add(tar.TypeReg, "etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
		a.add(tar.TypeReg, "etc/group", 0o644, "root:x:0:\napp:x:1001:\nextra:x:2000:app\n")
		a.add(tar.TypeReg, "etc/capability", 0o644, capability)
		return a.err
	}
}

// things is a layer of what Dockerfiles delete, replace and copy.
func things(w *layers.Writer) error {
	a := adder{w: w}
	for _, d := range strings.Fields("things things/dir things/dir/sub things/empty") {
		a.add(tar.TypeDir, d+"/", 0o755, "")
	}
	for i, f := range strings.Fields("things/file things/dir/a things/dir/b things/dir/sub/c") {
		a.add(tar.TypeReg, f, 0o644, fmt.Sprintln("content", i))
	}
	a.add(tar.TypeLink, "things/hardlink", 0o644, "things/file")
	a.add(tar.TypeSymlink, "things/symlink", 0o777, "file")
	a.add(tar.TypeSymlink, "things/dirlink", 0o777, "dir")
	a.add(tar.TypeReg, "things/setuid", 0o4755, "s")
	a.add(tar.TypeFifo, "things/fifo", 0o600, "")
	return a.err
}
