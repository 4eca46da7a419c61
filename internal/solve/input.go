package solve

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// archive writes the input disk: a tar archive that the guest reads where it lies.
type archive struct {
	w     *tar.Writer
	epoch time.Time // of every entry
}

// writeInput writes the job, the files, the images and the cache as an input disk to w.
func writeInput(ctx context.Context, w io.Writer, o *task) error {
	a := archive{w: tar.NewWriter(w), epoch: time.Unix(o.Job.Epoch, 0)}
	job, err := o.Job.Encode()
	if err != nil {
		return err
	}
	if err := a.file(wire.JobFile, 0o644, bytes.NewReader(job), int64(len(job))); err != nil {
		return err
	}
	if err := checkFiles(&o.Options); err != nil {
		return err
	}
	if err := o.Files.Pack(ctx, a); err != nil {
		return err
	}
	if err := o.images.write(ctx, a); err != nil {
		return err
	}
	if err := o.writeCache(ctx, a); err != nil {
		return err
	}
	return a.w.Close()
}

// checkFiles finds files that the guest would refuse, and a Dockerfile that is not there.
func checkFiles(o *Options) error {
	dockerfile := wire.DockerfileDir + "/" + o.Job.Dockerfile
	found := false
	for _, m := range o.Files.Mappings {
		found = found || m.Dest == dockerfile
		top, rest, _ := strings.Cut(m.Dest, "/")
		switch {
		case top == wire.ContextDir, top == wire.DockerfileDir && rest != "":
		default:
			return fmt.Errorf("%s: goes to /%s, which is neither below /%s nor /%s", m.Src, m.Dest, wire.ContextDir, wire.DockerfileDir)
		}
	}
	if !found {
		return fmt.Errorf("no file goes to /%s, the Dockerfile", dockerfile)
	}
	return nil
}

// Add adds an entry of the context; it makes the archive an Adder for mapping.Spec.
func (a archive) Add(e fstree.Entry, data io.Reader, size int64) error {
	if e.Type == fstree.Directory {
		return a.w.WriteHeader(a.header(tar.TypeDir, e.Path+"/", int64(e.Mode), 0))
	}
	return a.file(e.Path, int64(e.Mode), data, size)
}

func (a archive) header(kind byte, name string, mode, size int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: size, ModTime: a.epoch, Format: tar.FormatPAX}
}

func (a archive) file(name string, mode int64, data io.Reader, size int64) error {
	if err := a.w.WriteHeader(a.header(tar.TypeReg, name, mode, size)); err != nil {
		return err
	}
	_, err := io.CopyN(a.w, data, size)
	return err
}

// blob adds a blob of an OCI layout, whose folder is store.
func (a archive) blob(store, digest string, data io.Reader, size int64) error {
	name := path.Join(store, "blobs", strings.Replace(digest, ":", "/", 1))
	return a.file(name, 0o644, data, size)
}
