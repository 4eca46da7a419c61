package layercases

import (
	"archive/tar"
	"slices"
)

// types are one entry of each type, named name.
func types(name string) []entry {
	return []entry{
		file(name, "file").with("user.lower", "1"), dir(name).with("user.lower", "1").owned(0o700, 1, 2, 3),
		soft(name, "target").with("trusted.lower", "1"), fifo(name).owned(0o600, 4, 5, 6),
		device(name, tar.TypeChar, 1, 5), device(name, tar.TypeBlock, 7, 0), hard(name, "linked"),
	}
}

const typeNames = "fdspcbh"

// replaceCases are of layer.md, "Changeset over existing files".
func replaceCases() []layerCase {
	var lower, upper []entry
	for i, a := range typeNames {
		for j, b := range typeNames {
			name := "all/" + string(a) + string(b)
			lower, upper = append(lower, types(name)[i]), append(upper, types(name)[j])
			if a == 'd' {
				lower = append(lower, file(name+"/child", "old"))
			}
			if b == 'd' {
				upper = append(upper, file(name+"/new", "new"), types(name)[j])
			}
		}
	}
	first := []entry{root, file("linked", "is linked"), dir("all")}
	return []layerCase{
		{
			name: "every type over every type", why: `anything but a folder over a folder removes the path and makes it anew`,
			layers: stack{slices.Concat(first, lower), slices.Concat(upper, []entry{dir("all")})},
		},
		{
			name: "every type over every type in one layer", why: "the same, though a layer must not have duplicates",
			layers: stack{slices.Concat(first, lower, upper, []entry{dir("all")})},
			peers:  map[string]string{"tar": "it does not replace folders that are not empty", "bsdtar": "the same"},
		},
		{
			name: "a folder's later metadata", why: `of two folders "the existing path's attributes MUST be replaced", xattrs too`,
			layers: stack{
				{root, dir("d").with("user.a", "1").with("user.b", "2"), file("d/f", "")},
				{dir("d").owned(0o1777, 7, 8, 9).with("user.c", "3")},
			},
		},
		{name: "file becomes folder", why: "with what is below", layers: stack{{root, file("a", "")}, {dir("a"), file("a/b", "")}}},
		{name: "folder becomes file", why: "what was below goes", layers: stack{
			{root, dir("a"), file("a/b", ""), dir("a/c"), file("a/c/d", "")}, {file("a", "now a file")}, {file("b", "")},
		}},
		{name: "folder becomes file and folder again", why: "what was below does not come back", layers: stack{
			{root, dir("a").with("user.a", "1"), file("a/b", "")}, {file("a", "now a file")}, {dir("a"), file("a/c", "")},
		}},
		{name: "symlink becomes folder", why: "the folder that it leads to stays as it is", layers: stack{
			{root, dir("d"), file("d/f", ""), soft("s", "d")}, {dir("s").owned(0o700, 1, 1, 1), file("s/g", "")},
		}},
		{name: "folder becomes symlink", why: "what was below goes, and later entries follow the link", layers: stack{
			{root, dir("d"), file("d/f", ""), dir("e")}, {soft("d", "e")}, {file("d/g", ""), dir("e")},
		}},
		{name: "symlink's target replaced", why: "the link stays, the file behind it is not written through", layers: stack{
			{root, file("a", "old"), soft("s", "a")}, {file("s", "a file of its own")}, {file("b", "")},
		}},
		{name: "file becomes the parent of a new file", why: "the upper layer has the folder first", layers: stack{
			{root, file("a", ""), dir("x"), file("x/y", "")}, {dir("a"), dir("a/b"), file("a/b/c", ""), dir("x/y"), file("x/y/z", ""), dir("x")},
		}},
		{name: "xattrs do not outlive their file", why: "the path is removed and made anew",
			layers: stack{{root, file("a", "").with("user.a", "1").with("security.capability", capability)}, {file("a", "")}}},
		{name: "the same content in other layers", why: "Fledge stores it once; the files are their own", layers: stack{
			{root, file("a", text(300_000)), file("b", text(300_000)).owned(0o600, 1, 1, 1), file("c", "tail"), file("d", "tail")},
			{file("e", text(300_000)).with("user.e", "1"), file("f", "tail"), file(".wh.a", ""), dir(".").owned(0o755, 0, 0, 1)},
		}},
	}
}
