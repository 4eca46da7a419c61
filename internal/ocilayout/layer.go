package ocilayout

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Layer is one layer of an image.
type Layer struct {
	Digest    string // of the layer as it is stored; an archive of docker save tells DiffID alone, which stands here then
	MediaType string
	Size      int64  // bytes as stored
	DiffID    string // digest of the uncompressed tar

	store  store
	member string // name in the store
	gunzip bool   // the layer is compressed, but only the digest of what it unpacks to is known
}

// Open returns the layer as it is stored. Reading fails at the end when the bytes are not those that Digest and Size
// promise, so what was made of them must be thrown away unless io.EOF was seen.
func (l Layer) Open() (io.ReadCloser, error) {
	f, _, err := l.store.open(l.member)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", l.Digest, err)
	}
	what := "layer " + l.Digest
	if l.gunzip {
		return newGunzipVerifier(f, what, l.DiffID), nil
	}
	return struct {
		io.Reader
		io.Closer
	}{newVerifier(f, what, l.Digest, l.Size), f}, nil
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

// gunzipVerifier passes on a gzip stream and unpacks it on the side, because only the digest of the unpacked bytes is
// known. Nothing of them is kept.
type gunzipVerifier struct {
	r    io.ReadCloser
	pipe *io.PipeWriter
	done chan error // the verdict on the unpacked bytes
	err  error
}

func newGunzipVerifier(r io.ReadCloser, what, diffID string) *gunzipVerifier {
	in, out := io.Pipe()
	g := &gunzipVerifier{r: r, pipe: out, done: make(chan error, 1)}
	go func() {
		err := checkUnpacked(in, what, diffID)
		in.CloseWithError(err) // so that the writer does not wait for a reader that gave up
		g.done <- err
	}()
	return g
}

func checkUnpacked(in io.Reader, what, diffID string) error {
	what += ": unpacked"
	z, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err = io.Copy(io.Discard, newVerifier(z, what, diffID, -1))
	return err
}

func (g *gunzipVerifier) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.r.Read(p)
	if n > 0 {
		if _, failed := g.pipe.Write(p[:n]); failed != nil {
			err = failed
		}
	}
	if err == io.EOF {
		g.pipe.Close()
		if wrong := <-g.done; wrong != nil {
			err = wrong
		}
	}
	g.err = err
	return n, err
}

func (g *gunzipVerifier) Close() error {
	g.pipe.CloseWithError(io.ErrUnexpectedEOF)
	return g.r.Close()
}
