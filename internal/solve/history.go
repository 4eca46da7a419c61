package solve

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// withHistory gives a base image's config an entry of history with a time for each layer. For what is missing BuildKit
// would make up some from its cache, and so the image would depend on what was built before. A config that has all, as
// most do, stays as it is, and so does one that makes no sense.
func withHistory(config []byte) ([]byte, error) {
	var image ocispec.Image
	if err := json.Unmarshal(config, &image); err != nil {
		return nil, err
	}
	made := image.Created
	if made == nil {
		first := time.Unix(0, 0).UTC()
		made = &first
	}
	layers, changed := image.RootFS.DiffIDs, false
	for i, h := range image.History {
		if h.EmptyLayer {
			continue
		}
		if len(layers) == 0 {
			return config, nil
		}
		layers = layers[1:]
		if h.Created == nil {
			image.History[i].Created, changed = made, true
		}
	}
	for _, id := range layers {
		image.History = append(image.History, ocispec.History{Created: made, CreatedBy: describeLayer(id)})
		changed = true
	}
	if !changed {
		return config, nil
	}
	return replaceField(config, "history", image.History)
}

func describeLayer(id digest.Digest) string { return "layer " + id.String() + " of the base image" }

// replaceField sets a field of a JSON object, whose others stay what they are.
func replaceField(object []byte, name string, value any) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(object, &fields); err != nil {
		return nil, err
	}
	var err error
	if fields[name], err = json.Marshal(value); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}
