package ocilayout

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Layer is one layer of an image.
type Layer struct {
	Digest    string // of the bytes that Open gives
	MediaType string // of the bytes that Open gives
	Size      int64  // of the bytes that Open gives; -1 when only reading tells
	DiffID    string // digest of the uncompressed tar

	store  store
	member string // name in the store
	gunzip bool   // the member is compressed, but only the digest of its content is known
}

// Open returns the layer's bytes. Reading fails at their end when they are not those that Digest and Size promise, so
// what was made of them must be thrown away unless io.EOF was seen.
func (l Layer) Open() (io.ReadCloser, error) {
	f, _, err := l.store.open(l.member)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", l.Digest, err)
	}
	var r io.Reader = f
	if l.gunzip {
		if r, err = gzip.NewReader(bufio.NewReaderSize(f, 1<<16)); err != nil {
			f.Close()
			return nil, fmt.Errorf("layer %s: member %s: %w", l.Digest, l.member, err)
		}
	}
	return struct {
		io.Reader
		io.Closer
	}{newVerifier(r, "layer "+l.Digest, l.Digest, l.Size), f}, nil
}

// VerifyDiffID passes on the layer's uncompressed tar. Reading fails at its end when it is not the one that the
// image's config names.
func (l Layer) VerifyDiffID(tar io.Reader) io.Reader {
	return newVerifier(tar, "layer "+l.Digest+": uncompressed content", l.DiffID, -1)
}

// verifier turns the end of r into an error unless size (-1: any) and digest are right.
type verifier struct {
	r      io.Reader
	hash   hash.Hash
	what   string
	digest string
	size   int64
	n      int64
}

func newVerifier(r io.Reader, what, digest string, size int64) *verifier {
	return &verifier{r: r, hash: sha256.New(), what: what, digest: digest, size: size}
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	switch {
	case v.size >= 0 && v.n > v.size:
		return n, fmt.Errorf("%s: is longer than the %d bytes declared; copy the image again", v.what, v.size)
	case err != io.EOF:
		if err != nil {
			err = fmt.Errorf("%s: %w", v.what, err)
		}
		return n, err
	case v.size >= 0 && v.n < v.size:
		return n, fmt.Errorf("%s: has %d bytes, not the %d declared; copy the image again", v.what, v.n, v.size)
	}
	if got := "sha256:" + hex.EncodeToString(v.hash.Sum(nil)); got != v.digest {
		return n, fmt.Errorf("%s: has the digest %s, not %s; copy the image again", v.what, got, v.digest)
	}
	return n, io.EOF
}
