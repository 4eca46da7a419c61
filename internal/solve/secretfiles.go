package solve

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// ReadSecrets reads the files of secrets, by id, and gives the ids in order.
func ReadSecrets(files map[string]string) (values map[string][]byte, ids []string, err error) {
	values = map[string][]byte{}
	for _, id := range slices.Sorted(maps.Keys(files)) {
		b, err := readSecret(files[id])
		if err != nil {
			return nil, nil, fmt.Errorf("secret %s: %w", id, err)
		}
		values[id] = b
		ids = append(ids, id)
	}
	return values, ids, nil
}

func readSecret(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, wire.MaxSecret+1)) // what is longer is refused with the others
}
