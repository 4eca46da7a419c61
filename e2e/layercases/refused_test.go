package layercases

import (
	"archive/tar"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// refusal is a stack of layers that gives an error and no image.
type refusal struct {
	name, why string
	layers    stack
}

const (
	outside    = "it leads out of the root"
	notThere   = "a link needs a file that is there at that point"
	notALayer  = "a type that no layer has"
	noOwner    = "Linux has owners of 32 bits, without the last"
	notAFolder = "an entry needs folders above it"
)

var refusals = []refusal{
	{"name with ..", outside, stack{{root, file("../outside", "")}}},
	{"name with .. inside", outside, stack{{root, dir("a"), file("a/../../outside", "")}}},
	{"name that climbs and comes back", "a .. is never needed", stack{{root, dir("a"), file("a/../b", "")}}},
	{"absolute name", "names in a layer are relative", stack{{root, raw(plain("/etc/passwd"), "")}}},
	{"whiteout with ..", outside, stack{{root}, {file("../.wh.outside", "")}}},
	{"folder called ..", outside, stack{{root, dir("..")}}},
	{"empty name", "there is no such file", stack{{root, raw(plain(""), "")}}},
	{"file as the root", "the root is a folder", stack{{file(".", "")}}},
	{"symlink as the root", "the root is a folder", stack{{soft(".", "a"), file("b", "")}}},
	{"hard link that climbs", outside, stack{{root, hard("a", "../../etc/shadow")}}},
	{"absolute hard link", outside, stack{{root, file("a", ""), hard("b", "/a")}}},
	{"hard link to nothing", notThere, stack{{root, hard("b", "a")}}},
	{"hard link to what comes later", notThere, stack{{root, hard("b", "a"), file("a", "")}}},
	{"hard link to what is hidden", notThere, stack{{root, file("a", "")}, {file(".wh.a", ""), hard("b", "a")}}},
	{"hard link to what an opaque folder hides", notThere, stack{{root, dir("d"), file("d/a", "")}, {file("d/.wh..wh..opq", ""), hard("b", "d/a")}}},
	{"hard link to what it replaces", notThere, stack{{root, dir("a"), file("a/x", "")}, {hard("a", "a/x")}}},
	{"hard link to itself", notThere, stack{{root, file("a", "")}, {hard("a", "a")}}},
	{"hard link to a folder", `"Hardlinks are possible with all file types except directories"`, stack{{root, dir("a"), hard("b", "a")}}},
	{"hard link to the root", "the same", stack{{root, hard("b", ".")}}},
	{"hard link to a whiteout", "whiteouts are no files", stack{{root, file("a", "")}, {file(".wh.x", ""), hard("b", ".wh.x")}}},
	{"hard link without a target", notThere, stack{{root, raw(layers.Raw{Name: "a", Type: tar.TypeLink}, "")}}},
	{"symlink without a target", "Linux has none", stack{{root, raw(layers.Raw{Name: "a", Type: tar.TypeSymlink}, "")}}},
	{"symlink of 4096 bytes", "Linux has 4095", stack{{root, soft("a", strings.Repeat("t", 4096))}}},
	{"symlinks in a circle", "no path ends there", stack{{root, soft("a", "b"), soft("b", "a"), file("a/f", "")}}},
	{"symlink to itself", "the same", stack{{root, soft("a", "a"), file("a/f", "")}}},
	{"entry below a file", notAFolder, stack{{root, file("a", ""), file("a/b", "")}}},
	{"entry below a file of a lower layer", notAFolder, stack{{root, file("a", "")}, {file("a/b/c", "")}}},
	{"entry below a device", notAFolder, stack{{root, device("a", tar.TypeChar, 1, 3), file("a/b", "")}}},
	{"entry below a symlink to a file", notAFolder, stack{{root, file("a", ""), soft("s", "a"), file("s/b", "")}}},
	{"entry below a whiteout", "a whiteout is no folder", stack{{root, file("d/.wh.a/b", "")}}},
	{"whiteout of no name", "there is no such file", stack{{root, file("a", "")}, {file(".wh.", "")}}},
	{"whiteout of a dot", "it is not what a folder has", stack{{root, dir("d")}, {file("d/.wh..", "")}}},
	{"whiteout of two dots", "the same", stack{{root, dir("d")}, {file("d/.wh...", "")}}},
	{"name of 256 bytes", "Linux has 255", stack{{root, file(strings.Repeat("n", 256), "")}}},
	{"owner of 33 bits", noOwner, stack{{root, file("a", "").owned(0o644, 1<<32, 0, 1)}}},
	{"owner -1", noOwner, stack{{root, pax("uid", "-1"), raw(plain("a"), "")}}},
	{"owner 4294967295", noOwner, stack{{root, file("a", "").owned(0o644, 4294967295, 0, 1)}}},
	{"group 4294967295", noOwner, stack{{root, file("a", "").owned(0o644, 0, 4294967295, 1)}}},
	{"device major of 13 bits", "Linux has 12 and 20 bits", stack{{root, device("a", tar.TypeChar, 4096, 0)}}},
	{"device minor of 21 bits", "the same", stack{{root, device("a", tar.TypeBlock, 1, 1<<20)}}},
	{"volume label", notALayer, stack{{root, raw(layers.Raw{Name: "label", Type: 'V', Magic: layers.GNU}, "")}}},
	{"continued volume", notALayer, stack{{root, raw(layers.Raw{Name: "a", Type: 'M', Magic: layers.GNU}, "")}}},
	{"incremental folder of GNU", notALayer, stack{{root, raw(layers.Raw{Name: "d/", Type: 'D', Magic: layers.GNU}, "")}}},
	{"Solaris extended header", notALayer, stack{{root, raw(layers.Raw{Name: "a", Type: 'X'}, "")}}},
	{"sparse map out of order", "GNU tar writes none such", stack{{root,
		pax("GNU.sparse.name", "a", "GNU.sparse.size", "5000", "GNU.sparse.numblocks", "2", "GNU.sparse.map", "4096,1,0,1"), raw(plain("x"), "ab")}}},
	{"sparse map beyond the size", "the same", stack{{root,
		pax("GNU.sparse.name", "a", "GNU.sparse.size", "50", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "4096,2"), raw(plain("x"), "ab")}}},
	{"sparse map without numbers", "the same", stack{{root,
		pax("GNU.sparse.name", "a", "GNU.sparse.size", "50", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "x,2"), raw(plain("x"), "ab")}}},
	{"PAX record without an end", "its length is wrong", stack{{root, raw(layers.Raw{Name: "x", Type: 'x'}, "99 path=a\n"), raw(plain("b"), "")}}},
	{"PAX record that is no number", "uid is one", stack{{root, pax("uid", "root"), raw(plain("a"), "")}}},
	{"PAX name with a NUL", "no name has one", stack{{root, pax("path", "a\x00b"), raw(plain("a"), "")}}},
	{"number that is not octal", "the header is damaged", stack{{root, raw(layers.Raw{Name: "a", Type: '0', UID: "9999999\x00"}, "")}}},
	{"size beyond the archive", "the data is not there", stack{{root, raw(layers.Raw{Name: "a", Type: '0', Size: layers.Octal(1<<20, 12)}, "little")}}},
	{"negative size", "there is no such file", stack{{root, raw(layers.Raw{Name: "a", Type: '0', Size: layers.Base256(-1, 12)}, "")}}},
	{"entries behind the end", "archives in a row are no layer", stack{{root, file("a", ""), {raw: make([]byte, 1024)}, file("b", "")}}},
	{"no layer with anything", "an image needs a file", stack{{}, {}}},
	{"only the root", "the same", stack{{root}}},
	{"all is hidden", "the same", stack{{root, file("a", "")}, {file(".wh..wh..opq", "")}}},
}

// Every hostile or damaged stack has the error that its golden file says, for all kinds of images. Its last line tells
// what umoci does.
func TestRefused(t *testing.T) {
	imagetest.NeedRoot(t, "umoci")
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			layout := writeLayout(t, layers.None, c.layers)
			var got []string
			for _, v := range append(fileSystems, initramfs) {
				image, r := harness.TryMakeImage(t, v.settings, blobs(t, layout)...)
				said := withoutPlaces(r.Output)
				switch {
				case r.Code == 0:
					said = v.settings.Kind + ": no error" // an initramfs has folders of its own
				case r.Code != 1 || exists(image):
					t.Fatalf("%s: exit code %d, image %v\n%s", v.settings, r.Code, exists(image), r.Output)
				}
				if !slices.Contains(got, said) {
					got = append(got, said)
				}
			}
			umoci := "umoci: refuses it"
			if _, err := imagetest.UnpackImage(t, layout+":"+layers.Tag); err == nil {
				umoci = "umoci: unpacks it"
			}
			got = append(got, umoci)
			if *update {
				writeGolden(t, "refused "+c.name, got)
			}
			imagetest.Compare(t, "the error", readGolden(t, "refused "+c.name), got)
		})
	}
}

var (
	folders = regexp.MustCompile(`([ (])/[^ :"]*/`)
	digest  = regexp.MustCompile(`[0-9a-f]{64}`)
)

// withoutPlaces takes out of an error what differs from run to run: the folder of its file, and the layer's digest.
func withoutPlaces(said string) string {
	said = folders.ReplaceAllString(digest.ReplaceAllString(said, "DIGEST"), "$1")
	return strings.TrimSpace(strings.ReplaceAll(said, "\n", " "))
}
