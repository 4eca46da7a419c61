//go:build linux

package job

import (
	"bufio"
	"io"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/cache"
)

// saver writes the cache to the output disk, behind the image: BuildKit exports it when the image is complete.
type saver struct {
	store   *cache.Store
	payload *wire.PayloadWriter // nil until the first blob comes
	buffer  *bufio.Writer
}

func newSaver(p cache.Provider, image *wire.PayloadWriter, imageBuffer *bufio.Writer) *saver {
	s := &saver{}
	s.store = cache.New(p, func() (io.Writer, error) {
		if err := imageBuffer.Flush(); err != nil {
			return nil, err
		}
		s.payload = image.Next()
		s.buffer = bufio.NewWriterSize(s.payload, bufferSize)
		return s.buffer, nil
	})
	return s
}

// finish describes what was written; nil if that is nothing. A nil saver saves nothing.
func (s *saver) finish() (*wire.Payload, error) {
	if s == nil {
		return nil, nil
	}
	manifest, err := s.store.Finish()
	if err != nil || manifest == "" {
		return nil, err
	}
	if err := s.buffer.Flush(); err != nil {
		return nil, err
	}
	p := s.payload.Payload()
	p.Digest = manifest.String()
	return &p, nil
}
