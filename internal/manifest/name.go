package manifest

import "github.com/pelletier/go-toml/v2"

// Name is the name in a manifest.toml, "" without one or when it is none that an image can have. Generate tells what is
// wrong with it.
func Name(src []byte) string {
	var doc struct {
		Name string `toml:"name"`
	}
	if len(src) > MaxTOML || toml.Unmarshal(src, &doc) != nil || doc.Name == "" || checkName(doc.Name) != nil {
		return ""
	}
	return doc.Name
}
