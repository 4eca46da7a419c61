package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Places on the output disk, in bytes.
const (
	resultOffset  = 8192    // the result's JSON
	PayloadOffset = 1 << 20 // the image, an OCI archive
	MaxResult     = PayloadOffset - resultOffset
)

// NonceSize is the length of a nonce, in bytes.
const NonceSize = 16

// Nonce is random bytes of the host: a header without them is not of this solve.
type Nonce [NonceSize]byte

// State is how far the guest is.
type State uint32

// The guest's states.
const (
	Empty   State = iota // as the host made it: the guest did not get to its job
	Running              // the guest took the job; a guest that finds it was started twice
	Done                 // there is a result
)

func (s State) String() string {
	switch s {
	case Empty:
		return "empty"
	case Running:
		return "running"
	case Done:
		return "done"
	}
	return fmt.Sprintf("state %d", uint32(s))
}

// header is the first block:
//
//	4096  OutputMagic
//	4104  State, uint32, little-endian
//	4108  length of the result, uint32
//	4112  Nonce
//	4128  SHA-256 of the result
//	8192  the result, JSON
type header struct {
	state State
	size  uint32
	nonce Nonce
	sum   [sha256.Size]byte
}

const headerSize = MagicSize + 4 + 4 + NonceSize + sha256.Size

// Disk is what both halves do with the output disk.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// FormatOutput makes d, a file of zeros, an output disk. The host does it; the file may be sparse.
func FormatOutput(d Disk, nonce Nonce) error { return writeHeader(d, header{nonce: nonce}) }

// ReadState reads how far the guest is, and whose disk it is.
func ReadState(r io.ReaderAt) (State, Nonce, error) {
	h, err := readHeader(r)
	return h.state, h.nonce, err
}

// Begin marks that the guest took the job and returns the host's nonce. A disk that is not empty is an error: the
// machine was started again after a crash.
func Begin(d Disk) (Nonce, error) {
	h, err := readHeader(d)
	if err != nil {
		return Nonce{}, err
	}
	if h.state != Empty {
		return h.nonce, fmt.Errorf("the build machine restarted by itself: its output disk is already %s", h.state)
	}
	h.state = Running
	return h.nonce, writeHeader(d, h)
}

// Finish writes the guest's result: first the text, then, when that is safe, the header that points to it.
func Finish(d Disk, nonce Nonce, res Result) error {
	text, err := res.encode()
	if err != nil {
		return err
	}
	if _, err := d.WriteAt(text, resultOffset); err != nil {
		return fmt.Errorf("output disk: %w", err)
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("output disk: %w", err)
	}
	return writeHeader(d, header{state: Done, size: uint32(len(text)), nonce: nonce, sum: sha256.Sum256(text)})
}

// ReadResult reads the result of a disk whose state is Done.
func ReadResult(r io.ReaderAt, nonce Nonce) (Result, error) {
	h, err := readHeader(r)
	switch {
	case err != nil:
		return Result{}, err
	case h.nonce != nonce:
		return Result{}, errors.New("output disk: it is of another solve")
	case h.state != Done:
		return Result{}, fmt.Errorf("output disk: it has no result, it is %s", h.state)
	case h.size > MaxResult:
		return Result{}, fmt.Errorf("output disk: its result is said to be %d bytes long, %d may be", h.size, MaxResult)
	}
	text := make([]byte, h.size)
	if _, err := r.ReadAt(text, resultOffset); err != nil {
		return Result{}, fmt.Errorf("output disk: %w", err)
	}
	if sha256.Sum256(text) != h.sum {
		return Result{}, errors.New("output disk: its result is damaged")
	}
	return decodeResult(text)
}

// CopyPayload copies a payload to w and verifies it.
func CopyPayload(w io.Writer, r io.ReaderAt, p Payload) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.NewSectionReader(r, PayloadOffset+p.Offset, p.Size))
	if err != nil {
		return err
	}
	if n != p.Size {
		return fmt.Errorf("output disk: the payload is cut off, %d of %d bytes are there", n, p.Size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != p.SHA256 {
		return fmt.Errorf("output disk: the payload is damaged: its SHA-256 is %s, the guest wrote %s", got, p.SHA256)
	}
	return nil
}

// PayloadWriter writes a payload to the output disk, as it comes, and hashes it.
type PayloadWriter struct {
	w     io.WriterAt
	start int64 // from PayloadOffset on
	room  int64 // bytes that the disk still takes
	n     int64
	h     hash.Hash
}

// NewPayloadWriter starts an image on a disk of size bytes. Its writes go to the disk as they are: give it large ones.
func NewPayloadWriter(w io.WriterAt, size int64) *PayloadWriter {
	return &PayloadWriter{w: w, room: size - PayloadOffset, h: sha256.New()}
}

// Next starts a further payload behind this one, which is complete.
func (p *PayloadWriter) Next() *PayloadWriter {
	gap := -(p.start + p.n) & (HeaderOffset - 1)
	return &PayloadWriter{w: p.w, start: p.start + p.n + gap, room: p.room - gap, h: sha256.New()}
}

// ErrOutputFull says that the image does not fit.
var ErrOutputFull = errors.New("the image does not fit on the output disk: give the solve a larger one")

// Write implements io.Writer.
func (p *PayloadWriter) Write(b []byte) (int, error) {
	if int64(len(b)) > p.room {
		return 0, ErrOutputFull
	}
	n, err := p.w.WriteAt(b, PayloadOffset+p.start+p.n)
	p.h.Write(b[:n])
	p.n += int64(n)
	p.room -= int64(n)
	return n, err
}

// Payload describes what was written so far.
func (p *PayloadWriter) Payload() Payload {
	return Payload{Offset: p.start, Size: p.n, SHA256: hex.EncodeToString(p.h.Sum(nil))}
}

func writeHeader(d Disk, h header) error {
	b := make([]byte, 0, headerSize)
	b = append(b, OutputMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.state))
	b = binary.LittleEndian.AppendUint32(b, h.size)
	b = append(b, h.nonce[:]...)
	b = append(b, h.sum[:]...)
	if _, err := d.WriteAt(b, HeaderOffset); err != nil {
		return fmt.Errorf("output disk: %w", err)
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("output disk: %w", err)
	}
	return nil
}

func readHeader(r io.ReaderAt) (header, error) {
	var b [headerSize]byte
	if _, err := r.ReadAt(b[:], HeaderOffset); err != nil {
		return header{}, fmt.Errorf("output disk: %w", err)
	}
	if string(b[:MagicSize]) != OutputMagic {
		return header{}, errors.New("not an output disk of this version")
	}
	rest := b[MagicSize:]
	h := header{state: State(binary.LittleEndian.Uint32(rest)), size: binary.LittleEndian.Uint32(rest[4:])}
	copy(h.nonce[:], rest[8:])
	copy(h.sum[:], rest[8+NonceSize:])
	if h.state > Done {
		return header{}, fmt.Errorf("output disk: damaged: %s", h.state)
	}
	return h, nil
}
