package manifest

import (
	"errors"
	"fmt"

	"github.com/fledge-build/fledge/internal/tomlread"
)

// MaxTOML is the largest manifest.toml, in bytes; none that is larger could fit on the kernel command line.
const MaxTOML = 64 << 10

// MaxJSON is the largest manifest.json, in bytes; larger ones are something else.
const MaxJSON = 1 << 20

// decoder takes the fields out of a manifest.toml and an image's configuration, and collects what is wrong with them.
type decoder struct {
	*tomlread.Decoder
	configFile string
	httpOnly   bool    // every workload must have a base_url
	image      []error // in the image's configuration
}

// imageError notes an error in the image's configuration, with what the user can do.
func (d *decoder) imageError(err error, remedy string) {
	if err != nil {
		d.image = append(d.image, fmt.Errorf("%s: %w; %s", d.configFile, err, remedy))
	}
}

// err joins all errors.
func (d *decoder) err() error { return errors.Join(append([]error{d.Err()}, d.image...)...) }
