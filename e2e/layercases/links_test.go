package layercases

import (
	"archive/tar"

	"github.com/fledge-build/fledge/e2e/layers"
)

// linkCases are of layer.md, "Hardlinks".
var linkCases = []layerCase{
	{
		name: "hard links to everything", why: `"Hardlinks are possible with all file types except directories"`,
		layers: stack{{
			root, soft("s", "nowhere"), hard("s2", "s"), device("c", tar.TypeChar, 5, 1), hard("c2", "c"),
			device("b", tar.TypeBlock, 253, 65536), hard("b2", "b"), fifo("p"), hard("p2", "p"), file("e", ""), hard("e2", "e"),
			file("f", text(200_000)), hard("f2", "f"), hard("f3", "f2"),
		}},
	},
	{
		name: "hard links over layers", why: "the target is what the merged tree has",
		layers:   stack{{root, file("a", "one inode").with("user.x", "y")}, {hard("b", "a")}, {hard("c", "b"), file("d", "other")}},
		promised: promised{".": rootAsDescribed},
	},
	{
		name: "hard link to a replaced file", why: "the link is to what is there at that point of the layer",
		layers:   stack{{root, file("a", "old"), hard("b", "a")}, {file("a", "new"), hard("c", "a")}},
		promised: promised{".": rootAsDescribed},
	},
	{
		name: "hard link's target replaced in one layer", why: "the first content stays under the other name",
		layers: stack{{root, file("a", "first"), hard("b", "a"), file("a", "second"), hard("c", "a")}},
	},
	{
		name: "one name of a hard link replaced", why: "the path is removed, not the file; other names keep it",
		layers: stack{
			{root, file("a", "shared"), hard("b", "a"), hard("c", "a")}, {file("b", "own")}, {dir("c"), file("c/x", "")}, {root},
		},
	},
	{
		name: "whiteout of one name of a hard link", why: "the others keep the file, whichever was first",
		layers: stack{{root, file("a", "shared"), hard("b", "a"), hard("c", "a")}, {file(".wh.a", ""), root}},
	},
	{
		name: "whiteouts of all names but the last", why: "one name over many layers",
		layers: stack{{root, file("a", "shared"), hard("d/b", "a"), hard("c", "d/b")}, {file(".wh.a", "")}, {file(".wh.d", "")}, {root}},
	},
	{
		name: "hard link and whiteout of its target", why: "the layer links the file of a lower layer and hides its name",
		layers: stack{{root, file("a", "kept")}, {hard("b", "a"), file(".wh.a", ""), root}},
	},
	{
		name: "hard link out of an opaque folder", why: "the same; the link stands before the opaque whiteout",
		layers: stack{{root, dir("d"), file("d/a", "kept"), file("d/b", "lost")}, {hard("kept", "d/a"), dir("d"), file("d/.wh..wh..opq", ""), root}},
	},
	{
		name: "hard link out of a folder that is whited out", why: "the same, of a whole folder",
		layers: stack{{root, dir("d"), dir("d/e"), file("d/e/a", "kept")}, {hard("kept", "d/e/a"), file(".wh.d", ""), root}},
	},
	{
		name: "hard link into an opaque folder", why: "the new name is the layer's own, which its whiteouts spare",
		layers:   stack{{root, file("a", "1"), dir("d"), file("d/old", "")}, {dir("d"), hard("d/new", "a"), file("d/.wh..wh..opq", "")}},
		promised: promised{".": rootAsDescribed},
	},
	{
		name: "hard link over a name of a lower layer", why: "it replaces what is there",
		layers: stack{{root, file("a", "1"), file("b", "2"), dir("d"), file("d/x", "")}, {hard("b", "a"), hard("d", "a")}, {root}},
	},
	{
		name: "hard link over another name of itself", why: "it is the same file already",
		layers: stack{{root, file("a", "1"), hard("b", "a")}, {hard("a", "b"), root}},
	},
	{
		name: "hard links below symlinks", why: "names and targets are resolved within the root",
		layers: stack{{root, dir("d"), soft("s", "d"), file("s/a", "x"), hard("s/b", "s/a"), hard("c", "s/b")}},
		peers:  map[string]string{"tar": timesAgain, "bsdtar": "it replaces the symlink"},
	},
	{
		name: "hard link to a symlink to a file", why: "the symlink is linked, not the file",
		layers: stack{{root, file("a", ""), soft("s", "a"), hard("t", "s")}, {hard("u", "t"), root}},
	},
	{
		name: "hard link with other metadata", why: "tar writers repeat the file's; where it differs, the file's counts",
		layers: stack{{root, file("a", "x").owned(0o640, 1, 2, 3), hard("b", "a").owned(0o777, 7, 8, 9).with("user.b", "1")}},
	},
	{
		name: "hard link with a size", why: "POSIX lets pax write data behind a hard link; none of umoci, Go and GNU tar reads it",
		layers: stack{{root, file("a", "content"), raw(layers.Raw{Name: "b", Type: tar.TypeLink, Link: "a", Size: layers.Octal(7, 12)}, "")}},
	},
	{
		name: "two hundred names", why: "more than eight bits count", layers: stack{{root, dir("d"), file("d/0", "x")}, manyLinks(200), {dir("d")}},
	},
}

func manyLinks(n int) []entry {
	var list []entry
	for i := range n {
		list = append(list, hard("d/link"+string(rune('a'+i%26))+string(rune('a'+i/26)), "d/0"))
	}
	return list
}
