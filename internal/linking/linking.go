// Package linking makes images of layer packs: it merges their entries and looks for what would only show when the image
// does not boot.
package linking

import (
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
)

// checkRequired looks for the programs without which an image does not boot.
func checkRequired(tree *fstree.Tree, paths []string) error {
	for _, path := range paths {
		if n, _, err := tree.Lookup(path); err != nil || n.Type != fstree.Regular || n.Mode&0o111 == 0 {
			return fmt.Errorf("%s is not an executable file of the image, which does not boot without it; "+
				"a layer or a mapping has to bring it, with mode 0755 (chmod +x for fledge build; in a Bazel rule the "+
				"attribute agent for /bin/kestrel, init or modes for what an initramfs runs first)", path)
		}
	}
	return nil
}

// firstOf is a line for each of the first problems, and one for how many there are beyond.
func firstOf(problems []string) string {
	const most = 10
	if len(problems) <= most {
		return strings.Join(problems, "\n")
	}
	return fmt.Sprintf("%s\nand %d more", strings.Join(problems[:most], "\n"), len(problems)-most)
}
