package layercases

import (
	"archive/tar"
	"strings"
)

// whiteoutCases are of layer.md, "Whiteouts" and "Opaque Whiteout".
var whiteoutCases = []layerCase{
	{
		name: "whiteouts of the specification", why: `layer.md, "Whiteouts": its example`,
		layers: stack{
			{root, file("file1", "1"), dir("a"), file("a/file2", "2"), dir("b"), dir("c"), file("c/file3", "3")},
			{file(".wh.file1", ""), dir("a"), file("a/.wh.file2", ""), file(".wh.b", ""), file("file4", "4")},
		},
	},
	{name: "whiteout of a file", why: "it hides a path", layers: stack{
		{root, dir("d"), file("d/a", ""), file("d/b", "")}, {dir("d"), file("d/.wh.a", "")},
	}},
	{name: "whiteout of a folder", why: "and all below it", layers: stack{
		{root, dir("d"), dir("d/e"), file("d/e/f", "")}, {dir("d"), file("d/.wh.e", "")},
	}},
	{name: "whiteouts of all types", why: "it may hide any type of file", layers: stack{
		{
			root, dir("d"), file("d/f", ""), soft("s", "d"), soft("broken", "x"), fifo("p"), device("c", tar.TypeChar, 1, 3),
			device("b", tar.TypeBlock, 8, 0), dir("kept"), hard("kept/p", "p"),
		},
		{file(".wh.s", ""), file(".wh.broken", ""), file(".wh.p", ""), file(".wh.c", ""), file(".wh.b", "")},
	}},
	{name: "whiteout of nothing", why: "lower layers need not have it", layers: stack{
		{root, dir("d")}, {dir("d"), file("d/.wh.none", ""), file(".wh.none", "")},
	}},
	{name: "whiteout below nothing", why: "nor the folder, which is not made",
		layers: stack{{root, dir("d")}, {file("no/such/.wh.none", ""), file("no/.wh..wh..opq", "")}}},
	{name: "whiteout and the same name in one layer", why: "whiteouts apply to lower layers only", layers: stack{
		{root, dir("d"), file("d/a", "old").owned(0o600, 1, 1, 1)}, {dir("d"), file("d/.wh.a", ""), file("d/a", "new")},
	}},
	{name: "whiteout after the same name in one layer", why: "the same, in the other order", layers: stack{
		{root, dir("d"), file("d/a", "old")}, {dir("d"), file("d/a", "new"), file("d/.wh.a", "")},
	}},
	{name: "whiteout of a folder that the layer has anew", why: "the old content goes, the new stays", layers: stack{
		{root, dir("d").with("user.old", "1"), file("d/a", "old"), dir("d/e"), file("d/e/f", "old")},
		{file(".wh.d", ""), dir("d").owned(0o700, 1, 2, 3), file("d/b", "new")},
	}},
	{name: "whiteout after a folder that the layer has anew", why: "the same, in the other order", layers: stack{
		{root, dir("d").with("user.old", "1"), file("d/a", "old"), dir("d/e"), file("d/e/f", "old")},
		{dir("d").owned(0o700, 1, 2, 3), file("d/b", "new"), file(".wh.d", "")},
	}, promised: promised{"d": "040700 1:2 3"}},
	{name: "whiteouts hide for good", why: "what an upper layer has anew is not what was there", layers: stack{
		{root, dir("d"), file("d/a", "first").with("user.a", "1")}, {dir("d"), file("d/.wh.a", "")}, {dir("d"), file("d/a", "third")},
		{file(".wh.d", "")}, {dir("d").owned(0o711, 0, 0, 1)},
	}},
	{name: "a layer's file hidden by the next", why: "files beside a whiteout can be hidden by later layers only", layers: stack{
		{root, file("a", "1")}, {file(".wh.a", ""), file("a", "2")}, {file(".wh.a", "")}, {dir(".").owned(0o755, 0, 0, 1), file("b", "")},
	}},
	{name: "whiteouts below symlinks", why: "they apply where an entry would land", layers: stack{
		{root, dir("r"), file("r/a", "1"), file("r/b", "2"), soft("s", "r"), dir("q"), file("q/x", ""), soft("t", "/q")},
		{file("s/.wh.a", ""), file("t/.wh..wh..opq", ""), file("t/y", ""), dir("r"), dir("q")},
	}},
	{name: "whiteouts of long names", why: "the prefix makes a name of up to 259 bytes, which no file system has to hold", layers: stack{
		{root, file(strings.Repeat("a", 251), ""), file(strings.Repeat("b", 252), ""), file(strings.Repeat("c", 255), ""), file("d", "")},
		{file(".wh."+strings.Repeat("a", 251), ""), file(".wh."+strings.Repeat("b", 252), ""), file(".wh."+strings.Repeat("c", 255), ""), root},
	}},
	{name: "whiteouts of odd names", why: "names are bytes", layers: stack{
		{root, file("\xff\xfe", ""), file(" ", ""), file(".hidden", ""), file("wh.", ""), file("...", ""), file("new\nline", ""), file("left", "")},
		{file(".wh.\xff\xfe", ""), file(".wh. ", ""), file(".wh..hidden", ""), file(".wh.wh.", ""), file(".wh....", ""), file(".wh.new\nline", ""), root},
	}},
	{name: "names that look like whiteouts", why: "only .wh. makes one", layers: stack{
		{root, file(".wh", "1"), file(".whx", "2"), file("x.wh.y", "3"), file("wh.x", "4"), file(".WH.x", "5"), dir(".wh-d"), file(".wh-d/.whoami", "6")},
		{file(".WH..wh..opq", "7"), root},
	}},
	{name: "whiteouts with data and of other types", why: "layer.md wants empty files; the name is what counts", layers: stack{
		{root, file("a", ""), file("b", ""), file("c", ""), file("d", "")},
		{file(".wh.a", "not empty"), soft(".wh.b", "d"), hard(".wh.c", "d"), fifo(".wh.d"), file("e", ""), root},
	}},
	{name: "whiteouts of aufs", why: `names with .wh..wh. are its bookkeeping, which Docker skips too`,
		layers: stack{
			{root, file("a", "")},
			{dir(".wh..wh.plnk"), file(".wh..wh.plnk/5.6", ""), file(".wh..wh.aufs", ""), dir(".wh..wh.orph"), root},
		},
		umoci: "umoci has what is below .wh..wh.plnk in its tree, where layer.md lets no such name be", means: stack{{root, file("a", "")}},
	},
	{name: "opaque folder of the specification", why: `layer.md, "Opaque Whiteout": its first example`, layers: stack{
		{
			root, dir("etc"), file("etc/my-app-config", ""), dir("bin"), file("bin/my-app-binary", ""), file("bin/my-app-tools", ""),
			dir("bin/tools"), file("bin/tools/my-app-tool-one", ""),
		},
		{dir("bin"), file("bin/.wh..wh..opq", "")},
	}},
	{name: "opaque folder before its new content", why: `layer.md, "Opaque Whiteout": its second example`, layers: stack{
		{root, dir("a"), dir("a/b"), dir("a/b/c").with("user.old", "1"), file("a/b/c/bar", "")},
		{dir("a"), file("a/.wh..wh..opq", ""), dir("a/b"), dir("a/b/c"), file("a/b/c/foo", "")},
	}},
	{name: "opaque folder after its new content", why: `layer.md, "Opaque Whiteout": the same "regardless of the ordering"`,
		layers: stack{
			{root, dir("a"), dir("a/b"), dir("a/b/c").with("user.old", "1"), file("a/b/c/bar", "")},
			{dir("a"), dir("a/b"), dir("a/b/c"), file("a/b/c/foo", ""), file("a/.wh..wh..opq", "")},
		}, promised: promised{"a/b/c": "040755 0:0 1600000000"}},
	{name: "opaque folder", why: "siblings of lower layers are hidden, with all below them", layers: stack{
		{root, dir("d"), file("d/a", ""), dir("d/e"), file("d/e/f", "")}, {dir("d"), file("d/.wh..wh..opq", ""), file("d/new", "")},
	}},
	{name: "opaque folder without an entry of its own", why: "its metadata stays", layers: stack{
		{root, dir("d").owned(0o711, 5, 6, 7), file("d/a", "")}, {file("d/.wh..wh..opq", "")},
	}, promised: promised{"d": "040711 5:6 7"}},
	{name: "opaque root", why: "the same, of everything", layers: stack{
		{root, file("a", ""), dir("d")}, {file(".wh..wh..opq", ""), file("b", "")},
	}, promised: promised{".": rootAsDescribed}},
	{name: "opaque folder and whiteouts", why: "both forms must be taken, in one folder too", layers: stack{
		{root, dir("d"), file("d/a", "1"), file("d/b", "2"), file("d/c", "3")},
		{dir("d"), file("d/.wh.a", ""), file("d/.wh..wh..opq", ""), file("d/.wh.b", ""), file("d/c", "new")},
	}},
	{name: "opaque folders in one another", why: "each hides what lower layers have", layers: stack{
		{root, dir("d"), dir("d/e"), file("d/e/f", "1"), file("d/a", "2")},
		{dir("d"), file("d/.wh..wh..opq", ""), dir("d/e"), file("d/e/.wh..wh..opq", ""), file("d/e/g", "3")},
		{dir("d"), dir("d/e"), file("d/e/.wh..wh..opq", ""), file("d/e/h", "4")},
	}},
	{name: "opaque over what is no folder", why: "there is nothing to hide", layers: stack{
		{root, file("a", "stays"), soft("s", "nowhere")}, {file("a/.wh..wh..opq", ""), file("s/.wh..wh..opq", "")},
	}},
}
