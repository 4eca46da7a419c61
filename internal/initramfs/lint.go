package initramfs

import (
	"fmt"
	"path"
	"strings"

	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/elfinfo"
	"github.com/fledge-build/fledge/internal/fstree"
)

// Lint finds the programs of tree that cannot run on a machine of architecture arch (amd64 or arm64): those for another
// one, and those whose dynamic loader or shared libraries are nowhere in the tree. Each problem is a sentence.
//
// It looks at executable files alone. A library counts as present wherever it lies, since programs have many ways to find
// theirs; the libraries of a program larger than a segment of its pack are not known and not looked for.
func Lint(tree *fstree.Tree, packs []*cpiopack.Reader, arch string) (problems []string, err error) {
	machine, err := elfinfo.Machine(arch)
	if err != nil {
		return nil, err
	}
	files := map[string]bool{} // names of all files, without their directories
	for p, n := range tree.All() {
		if n.Type == fstree.Regular || n.Type == fstree.Symlink {
			files[path.Base(p)] = true
		}
	}
	for p, n := range tree.All() {
		if n.Type != fstree.Regular || n.Mode&0o111 == 0 {
			continue
		}
		info, ok, err := packs[n.Layer].Program(n.Content)
		switch {
		case err != nil:
			return nil, err
		case !ok || !info.Executable:
		case info.Machine != machine:
			problems = append(problems, fmt.Sprintf("/%s is a program for %s, the image is for %s: build it for %s",
				p, strings.TrimPrefix(info.Machine.String(), "EM_"), arch, arch))
		case info.Loader != "":
			problems = append(problems, lintDynamic(tree, p, info, files)...)
		}
	}
	return problems, nil
}

func lintDynamic(tree *fstree.Tree, program string, info elfinfo.Info, files map[string]bool) (problems []string) {
	if n, _, err := tree.Lookup(info.Loader); err != nil || n.Type != fstree.Regular {
		return []string{fmt.Sprintf("/%s needs the dynamic loader %s, which is not in the image: "+
			"link the program statically, or add the C library", program, info.Loader)}
	}
	var missing []string
	for _, lib := range info.Libraries {
		if !files[path.Base(lib)] {
			missing = append(missing, lib)
		}
	}
	if len(missing) > 0 {
		problems = append(problems, fmt.Sprintf("/%s needs %s, not in the image: add the packages that have them, "+
			"or link the program statically", program, strings.Join(missing, ", ")))
	}
	return problems
}
