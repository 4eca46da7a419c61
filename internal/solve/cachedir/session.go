package cachedir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// perKey is how many manifests of one key are kept, and how many are used: the one before the last helps when a change
// is taken back.
const perKey = 2

// Session is a solve's use of the cache.
type Session struct {
	Manifests []string // digests of those to use, the one that counts most first
	Blobs     []Blob   // all that they need, verified
	Partial   bool     // what is saved is of a solve that failed

	d           *Dir
	family, key string
	dir         *os.File // locked while the session lasts
}

// Blob is a file of the cache.
type Blob struct {
	Digest string
	File   string
	Size   int64
}

// Use starts a session with the caches of a key, or, if there is none, with those of the family that were used last.
// note is told of damage, which costs results and nothing else. The session must be closed.
func (d *Dir) Use(ctx context.Context, family, key string, note func(error)) (*Session, error) {
	s := &Session{d: d, family: family, key: key}
	linked, err := s.start(note)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	bad := map[string]bool{}
	for _, blobs := range linked {
		if err := s.verify(ctx, blobs, bad, note); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if len(bad) > 0 {
		if err := d.drop(bad); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// verify takes a manifest with its blobs, the manifest's digest first, into the session, if all of them are whole.
func (s *Session) verify(ctx context.Context, blobs []string, bad map[string]bool, note func(error)) error {
	for _, digest := range blobs {
		if bad[digest] || slices.ContainsFunc(s.Blobs, func(b Blob) bool { return b.Digest == digest }) {
			continue
		}
		b, err := readBlob(ctx, digest, s.File(digest))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			s.Blobs = append(s.Blobs, b)
			continue
		}
		note(fmt.Errorf("cache %s: damaged, so a part is lost: blob %s: %w", s.d.path, digest, err))
		bad[digest] = true
		if err := os.Remove(s.File(digest)); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(blobs, func(b string) bool { return bad[b] }) {
		s.Manifests = append(s.Manifests, blobs[0])
	}
	return nil
}

// start makes the session's folder with links to all blobs of the chosen manifests, which it gives.
func (s *Session) start(note func(error)) (linked [][]string, err error) {
	unlock, err := s.d.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	s.d.removeStale()
	name, err := os.MkdirTemp(s.d.sessions(), "")
	if err != nil {
		return nil, err
	}
	if s.dir, err = os.Open(name); err != nil {
		return nil, err
	}
	if err := flock(s.dir, syscall.LOCK_EX); err != nil {
		return nil, err
	}
	list, err := s.d.readIndex()
	if err != nil {
		note(fmt.Errorf("cache %s: %w: it starts anew", s.d.path, err))
		return nil, s.d.writeIndex(nil)
	}
	chosen, rest := choose(list, s.family, s.key)
	var used []entry
	for _, e := range chosen {
		blobs, err := readManifest(s.d.blob(e.manifest), e.manifest)
		if err == nil {
			err = s.link(blobs)
		}
		if err != nil {
			note(fmt.Errorf("cache %s: damaged, so a part is lost: manifest %s: %w", s.d.path, e.manifest, err))
			continue
		}
		linked, used = append(linked, blobs), append(used, e)
	}
	return linked, s.d.writeIndex(append(used, rest...))
}

// choose gives the entries to use, and all others.
func choose(list []entry, family, key string) (chosen, rest []entry) {
	own := slices.ContainsFunc(list, func(e entry) bool { return e.family == family && e.key == key })
	for _, e := range list {
		if e.family == family && (e.key == key || !own) && len(chosen) < perKey {
			chosen = append(chosen, e)
		} else {
			rest = append(rest, e)
		}
	}
	return chosen, rest
}

func (s *Session) link(blobs []string) error {
	for _, digest := range blobs {
		if err := os.Link(s.d.blob(digest), s.File(digest)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// File is where a blob of the session is, or is to be written.
func (s *Session) File(digest string) string { return filepath.Join(s.dir.Name(), hash(digest)) }

// readBlob reads a blob for its digest.
func readBlob(ctx context.Context, digest, file string) (Blob, error) {
	f, err := os.Open(file)
	if err != nil {
		return Blob{}, err
	}
	defer f.Close()
	h := sha256.New()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	n, err := io.Copy(h, f)
	if err != nil {
		return Blob{}, err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != hash(digest) {
		return Blob{}, fmt.Errorf("its %d bytes have the digest sha256:%s", n, got)
	}
	return Blob{digest, file, n}, nil
}

// Save adds the cache with this manifest. What it needs must be files of the session, or missing writes them. Then
// what was not used for longest goes, if the directory is too large. A cache that would leave no room for any other is
// an error, and the others stay.
func (s *Session) Save(manifest string, missing func(digest, file string) error) error {
	blobs, err := readManifest(s.File(manifest), manifest)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", manifest, err)
	}
	var total int64
	for _, digest := range blobs {
		n, err := s.complete(digest, missing)
		if err != nil {
			return err
		}
		if total += n; total > s.d.limit {
			return fmt.Errorf("its results alone are more than the %d MiB that all may have: raise that; for a Bazel action it is "+
				"--@fledge//fledge/settings:solve_cache_mb=%d, say", s.d.limit>>20, s.d.limit>>19)
		}
	}
	info, err := os.Stat(s.File(manifest))
	if err != nil {
		return err
	}
	unlock, err := s.d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, digest := range blobs {
		// What is there may be damaged, and this is not.
		if err := os.Rename(s.File(digest), s.d.blob(digest)); err != nil {
			return err
		}
	}
	list, err := s.d.readIndex()
	if err != nil {
		list = nil // as the next solve would say
	}
	return s.d.evict(insert(list, entry{s.family, s.key, manifest, info.Size(), s.Partial}))
}

// complete gives the size of a blob in bytes, and has it written if the session does not have it.
func (s *Session) complete(digest string, missing func(digest, file string) error) (int64, error) {
	info, err := os.Stat(s.File(digest))
	if errors.Is(err, os.ErrNotExist) {
		if err = missing(digest, s.File(digest)); err == nil {
			info, err = os.Stat(s.File(digest))
		}
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// insert puts e first, and removes what is too much of its key: of a partial one nothing is left once there is a newer.
func insert(list []entry, e entry) []entry {
	out, n := []entry{e}, 1
	for _, old := range list {
		if old.family == e.family && old.key == e.key {
			if old.partial || old.manifest == e.manifest || n == perKey {
				continue
			}
			n++
		}
		out = append(out, old)
	}
	return out
}

// Close ends the session.
func (s *Session) Close() error {
	if s.dir == nil {
		return nil
	}
	err := os.RemoveAll(s.dir.Name())
	return errors.Join(err, s.dir.Close())
}
