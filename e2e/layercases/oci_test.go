package layercases

import "archive/tar"

// Why tar programs, which know no layers, make another tree.
const (
	timesAgain = "entries that name a folder otherwise change its time after it was set"
	oldXattrs  = "a folder that is there keeps its xattrs"
)

// ociCases are of layer.md of the image specification but for whiteouts, replacing and hard links.
var ociCases = []layerCase{
	{name: "one file", why: "the least there can be", layers: stack{{root, file("a", "content")}}},
	{
		name: "changeset of the specification", why: `layer.md, "Representing Changes": its example`,
		layers: stack{{
			root, dir("./etc"), file("./etc/my-app-config", "1"), dir("./bin"), file("./bin/my-app-binary", "2"),
			file("./bin/my-app-tools", "3"),
		}, {
			dir("./etc/my-app.d"), file("./etc/my-app.d/default.cfg", "4"), file("./bin/my-app-tools", "5"), file("./etc/.wh.my-app-config", ""),
		}},
		promised: promised{"etc": "040755 0:0 1600000000"},
	},
	{
		name: "every type of file", why: `layer.md, "File Types"; a tar archive has no type for sockets, so no layer has one`,
		layers: stack{{
			root, file("regular", "r"), dir("directory"), soft("symlink", "regular"), hard("hard link", "regular"), fifo("fifo"),
			device("character", tar.TypeChar, 1, 3), device("block", tar.TypeBlock, 8, 1),
		}},
	},
	{
		name: "names of owners", why: `layer.md, "File Attributes": uname and gname are secondary to uid and gid`,
		layers: stack{{root, file("a", "").named("daemon", "daemon").owned(0o644, 12345, 54321, 1), file("b", "").named("nobody", "no such group")}},
	},
	{
		name: "names with ./ and slashes", why: `layer.md, "Populate Initial Filesystem": names begin with ./ there`,
		layers: stack{{root, dir("./a"), file("./a/b", "1"), file("a//c", "2"), file("././a/./d", "3"), dir("a/e/")}},
		peers:  map[string]string{"tar": timesAgain},
	},
	{
		name: "no entry for a parent", why: `layer.md: changesets hold what changed, not the folders above`,
		layers:   stack{{root, file("a/b/c", "deep")}},
		promised: promised{".": rootAsDescribed, "a": impliedDir, "a/b": impliedDir},
	},
	{
		name: "no entry for the root", why: "layer.md asks for none; Docker writes none",
		layers: stack{{file("a", "")}}, promised: promised{".": impliedDir},
	},
	{
		name: "parents described after their children", why: "layer.md orders nothing but whiteouts",
		layers: stack{{root, file("a/b", "1"), dir("a").owned(0o700, 1, 2, 77)}}, promised: promised{".": rootAsDescribed},
	},
	{
		name: "children do not touch the times of folders", why: `layer.md, "File Attributes": mtime, of the folder's own entry`,
		layers: stack{
			{root, dir("d").owned(0o755, 0, 0, 5), file("d/a", ""), dir("d/e").owned(0o755, 0, 0, 6), file("d/e/f", "")},
			{dir("d").owned(0o755, 0, 0, 7), file("d/b", ""), file("d/.wh.a", "")},
		},
	},
	{
		name: "no folder of the upper layer", why: "a folder without an entry in a layer keeps what lower layers said of it",
		layers:   stack{{root, dir("d").owned(0o711, 5, 6, 7), file("d/a", "")}, {file("d/b", "")}, {file("d/.wh.a", "")}},
		promised: promised{"d": "040711 5:6 7"},
	},
	{
		name: "the root as a slash", why: "kaniko writes the root as /",
		layers: stack{{raw(rawDir("/"), ""), file("a", "")}},
	},
	{
		name: "the root's later metadata", why: `layer.md, "Changeset over existing files", of the root too`,
		layers: stack{{root.with("user.a", "1")}, {file("a", "")}, {dir(".").owned(0o1711, 70000, 9, 1234567890).with("user.b", "2")}},
	},
	{name: "only the root beside one folder", why: "folders alone make an image", layers: stack{{root}, {dir("d")}}},
	{
		name: "empty layers", why: "Docker writes them for instructions that change nothing",
		layers: stack{{}, {root, file("a", "1")}, {}, {}, {file("b", "2")}, {}},
	},
	{
		name: "forty layers", why: "each adds, replaces and removes", layers: fortyLayers(),
	},
	{
		name: "three layers of one folder", why: "the last that says something of it counts",
		layers: stack{
			{root, dir("etc"), file("etc/a", "1")}, {dir("etc").owned(0o700, 0, 0, 5), file("etc/b", "2")},
			{file("etc/c", "3"), file("etc/.wh.a", "")},
		},
		promised: promised{"etc": "040700 0:0 5"},
	},
	{
		name: "the same name twice", why: `layer.md, "Distributable Format", forbids it; tools write it, and the last counts`,
		layers: stack{{root, file("a", "first"), file("a", "second").owned(0o600, 9, 9, 9)}},
	},
	{
		name: "the same name twice, of all types", why: `the same; a folder stays one, with the last metadata`,
		layers: stack{{
			root, dir("d").with("user.a", "1"), file("d/in", ""), dir("d").owned(0o700, 1, 1, 1), soft("s", "a"), soft("s", "b"),
			fifo("p"), fifo("p").owned(0o600, 2, 2, 2), device("c", tar.TypeChar, 1, 1), device("c", tar.TypeBlock, 1, 2),
			file("f", "is linked"), hard("h", "f"), hard("h", "f"), file("h2", "x"), hard("h2", "f"),
		}},
		peers: map[string]string{"tar": oldXattrs, "bsdtar": oldXattrs},
	},
	{
		name: "entries below a symlink", why: "nothing is said of it; umoci and containerd resolve within the root",
		layers: stack{{root, dir("real").owned(0o755, 0, 0, 3), soft("s", "/real"), soft("t", "s"), file("t/f", "through two")}},
		peers:  map[string]string{"tar": "it makes absolute links late", "bsdtar": "it replaces the symlink"},
	},
	{
		name: "entries below a climbing symlink", why: "the same; the root's parent is the root",
		layers: stack{{root, dir("real"), soft("s", "../../../real"), file("s/f", "within the root")}},
		peers:  map[string]string{"tar": "it makes climbing links late", "bsdtar": "it replaces the symlink"},
	},
	{
		name: "entries below a dangling symlink", why: "the same; what the link names is made",
		layers:   stack{{root, soft("s", "/not/there"), file("s/f", "")}},
		promised: promised{".": rootAsDescribed, "not": impliedDir, "not/there": impliedDir},
		peers:    map[string]string{"tar": "it makes absolute links late", "bsdtar": "it replaces the symlink"},
	},
	{
		name: "entries of an upper layer below symlinks", why: "the merged /usr of distributions: bin is a symlink to usr/bin",
		layers: stack{
			{root, dir("usr"), dir("usr/bin"), soft("bin", "usr/bin"), file("usr/bin/a", "1"), file("usr/bin/b", "2")},
			{file("bin/c", "3"), file("bin/a", "4"), file("bin/.wh.b", ""), hard("bin/d", "bin/c")},
		},
		promised: promised{"usr/bin": "040755 0:0 1600000000"},
	},
}

func fortyLayers() stack {
	s := stack{{root, dir("d")}}
	for i := range 39 {
		name := string(rune('a' + i%13))
		s = append(s, []entry{file("d/"+name, name).owned(0o600, i, i, int64(i)), dir("d"), file("d/.wh."+string(rune('a'+(i+7)%13)), "")})
	}
	return s
}
