// Package layercases holds hard cases of layers: every rule of the OCI image specification's layer.md, every kind of tar
// header, and values at the borders of what formats hold. What has to come out of each is a golden file in testdata, made
// by umoci; the kernel's view of Fledge's images, umoci, GNU tar and bsdtar are compared with it.
//
//	go test ./e2e/layercases -update    # as root, with umoci: writes the golden files
package layercases

import (
	"regexp"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/e2e/layers"
)

// layerCase is a stack of layers from which one tree has to come.
type layerCase struct {
	name   string
	why    string // what it is a case of, and where that is written
	layers stack
	stored layers.Compression // of the layers; empty is gzip

	promised promised // lines that are not as umoci has them
	umoci    string   // why umoci's tree of the layers is another one; then the golden file is made of means
	means    stack    // layers that say the same in a way that umoci knows; without them it is made of layers

	peers map[string]string // programs (tar, bsdtar, unsquashfs) that extract another tree of the one layer, and why
	limit map[string]string // kinds of images that cannot hold it: text of the error
}

// promised is what Fledge promises where umoci's result follows the umask, the clock or the file system that it writes to:
// lines by path, without the path. The empty line is a path that must not be there.
type promised map[string]string

// Folders that no layer describes are 0755, owned by root, of 1970, and making one does not touch the time of the folder
// it is in.
const impliedDir = "040755 0:0 0"

const rootAsDescribed = "040751 3:4 1500000000"

// apply puts the promises into lines, which describe what umoci unpacked.
func (p promised) apply(lines []string) []string {
	var out []string
	for _, line := range lines {
		path := pathOf(line)
		promise, ok := p[path]
		switch {
		case !ok:
			out = append(out, line)
		case promise != "":
			out = append(out, quoted(path)+" "+promise)
		}
	}
	return out
}

// cases are all cases but those that are refused.
func cases() []layerCase {
	return slices.Concat(ociCases, whiteoutCases, replaceCases(), linkCases, headerCases(), sparseCases(), valueCases(), storedCases())
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// golden is the path of a case's golden file.
func golden(name string) string {
	return "testdata/" + strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-") + ".txt"
}
