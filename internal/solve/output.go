package solve

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// takeOut writes the image on the output disk as an OCI image layout to dir, verifies all of it, and gives the digest of
// its manifest.
func takeOut(ctx context.Context, disk string, p wire.Payload, dir string) (string, error) {
	f, err := os.Open(disk)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// The archive is unpacked as it is verified: of one that is damaged nothing stays.
	in, out := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := unpackLayout(ctx, bufio.NewReaderSize(in, 1<<20), dir)
		in.CloseWithError(err)
		unpacked <- err
	}()
	err = wire.CopyPayload(out, f, p)
	out.CloseWithError(err)
	if unpackErr := <-unpacked; unpackErr != nil && !errors.Is(unpackErr, err) {
		return "", fmt.Errorf("the guest's image: %w", unpackErr)
	}
	if err != nil {
		return "", err
	}
	return verifyLayout(dir)
}

// unpackLayout unpacks an OCI archive: two files of JSON and the blobs, each of which must have the digest that is its
// name.
func unpackLayout(ctx context.Context, r io.Reader, dir string) error {
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, r) // the archive's padding
			return err
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Clean(h.Name)
		hash, isBlob := strings.CutPrefix(name, "blobs/sha256/")
		switch {
		case h.Typeflag == tar.TypeDir:
		case h.Typeflag != tar.TypeReg || wire.IsSparse(h):
			return fmt.Errorf("%q is no plain file", h.Name)
		case isBlob:
			err = writeVerified(filepath.Join(blobs, filepath.Base(hash)), archive, hash)
		case name == ocispec.ImageLayoutFile, name == ocispec.ImageIndexFile:
			err = writeSmall(filepath.Join(dir, name), archive)
		case name == "manifest.json": // for docker load, which an OCI layout does without
		default:
			return fmt.Errorf("%q does not belong into an image", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

// writeVerified writes a blob.
func writeVerified(file string, r io.Reader, hash string) error {
	h := sha256.New()
	err := write(file, io.TeeReader(r, h))
	if got := hex.EncodeToString(h.Sum(nil)); err == nil && got != hash {
		err = fmt.Errorf("the blob %.80q has the digest %s", hash, got)
	}
	return err
}

// writeSmall writes a file of JSON.
func writeSmall(file string, r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, ocilayout.MaxJSON+1))
	if err != nil {
		return err
	}
	if len(b) > ocilayout.MaxJSON {
		return fmt.Errorf("%s is larger than %d bytes", filepath.Base(file), ocilayout.MaxJSON)
	}
	return write(file, bytes.NewReader(b))
}

func write(file string, r io.Reader) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// verifyLayout checks that all that the index leads to is there, and gives the digest of the image's manifest.
func verifyLayout(dir string) (string, error) {
	image, err := ocilayout.Open(dir, "")
	if err != nil {
		return "", fmt.Errorf("the guest's image: %w", err)
	}
	defer image.Close()
	raw, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err != nil {
		return "", err
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return "", err
	}
	if len(index.Manifests) != 1 {
		return "", fmt.Errorf("the guest's image: %d manifests, and one was asked for", len(index.Manifests))
	}
	return index.Manifests[0].Digest.String(), nil
}
