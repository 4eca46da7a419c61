package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of the secrets disk, in bytes.
const (
	MaxSecret  = 500 << 10 // BuildKit's own limit of one secret
	MaxSecrets = 16 << 20  // the JSON on the disk
)

// secretsHead is the length of magic and length before the JSON.
const secretsHead = MagicSize + 8

// Secrets are what the job's ids stand for. They are never part of the input archive, which may be kept and looked at:
// the host puts them on a disk of their own that only its owner can read, and deletes it.
type Secrets struct {
	Secrets map[string][]byte `json:"secrets,omitempty"`
	SSH     map[string][]byte `json:"ssh,omitempty"` // private keys, as OpenSSH or PEM files without a passphrase
}

// Encode renders the secrets disk:
//
//	0     zeros
//	4096  SecretsMagic
//	4104  length of the JSON, uint64, little-endian
//	4112  JSON, padded with zeros to a multiple of 4096
func (s Secrets) Encode() ([]byte, error) {
	for _, m := range []map[string][]byte{s.Secrets, s.SSH} {
		for id, value := range m {
			if len(value) > MaxSecret {
				return nil, fmt.Errorf("secret %s is %d bytes long, %d may be", id, len(value), MaxSecret)
			}
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if len(text) > MaxSecrets {
		return nil, fmt.Errorf("all secrets together are %d bytes long, %d may be", len(text), MaxSecrets)
	}
	size := HeaderOffset + secretsHead + len(text)
	b := make([]byte, (size+HeaderOffset-1)/HeaderOffset*HeaderOffset)
	copy(b[HeaderOffset:], SecretsMagic)
	binary.LittleEndian.PutUint64(b[HeaderOffset+MagicSize:], uint64(len(text)))
	copy(b[HeaderOffset+secretsHead:], text)
	return b, nil
}

// ReadSecrets reads what Encode wrote. Its errors tell nothing of the content.
func ReadSecrets(r io.ReaderAt) (Secrets, error) {
	var head [secretsHead]byte
	if _, err := r.ReadAt(head[:], HeaderOffset); err != nil {
		return Secrets{}, fmt.Errorf("secrets disk: %w", err)
	}
	if string(head[:MagicSize]) != SecretsMagic {
		return Secrets{}, errors.New("not a secrets disk of this version")
	}
	n := binary.LittleEndian.Uint64(head[MagicSize:])
	if n > MaxSecrets {
		return Secrets{}, fmt.Errorf("secrets disk: its content is said to be %d bytes long, %d may be", n, MaxSecrets)
	}
	text := make([]byte, n)
	if _, err := r.ReadAt(text, HeaderOffset+secretsHead); err != nil {
		return Secrets{}, errors.New("secrets disk: it is cut off")
	}
	var s Secrets
	if decodeJSON(text, &s) != nil {
		return Secrets{}, errors.New("secrets disk: its content is damaged")
	}
	return s, nil
}
