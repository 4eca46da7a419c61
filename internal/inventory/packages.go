package inventory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/ospkg"
)

// database is where a package manager keeps what is installed.
type database struct {
	folders []string
	names   []string // of the file: the newest format first, of which the first that is there counts
	read    func(*io.SectionReader) ([]ospkg.Package, error)
}

var databases = []database{
	{[]string{"var/lib/dpkg"}, []string{"status"}, readDpkg},
	{[]string{"usr/lib/apk/db", "lib/apk/db"}, []string{"installed"}, func(r *io.SectionReader) ([]ospkg.Package, error) {
		return ospkg.ReadApk(r)
	}},
	{
		[]string{"usr/lib/sysimage/rpm", "usr/share/rpm", "var/lib/rpm"},
		[]string{"rpmdb.sqlite", "Packages.db", "Packages"},
		func(r *io.SectionReader) ([]ospkg.Package, error) { return ospkg.ReadRPM(r, r.Size()) },
	},
}

const statusFolder = "var/lib/dpkg/status.d" // of distroless images, a file a package

func readDpkg(r *io.SectionReader) ([]ospkg.Package, error) { return ospkg.ReadDpkg(r) }

// packages reads the databases of the tree.
func (t *taker) packages(tree *fstree.Tree) error {
	if err := t.release(tree); err != nil {
		return err
	}
	seen := map[*fstree.Node]bool{} // one folder is often a symlink to the other
	for _, db := range databases {
		for _, folder := range db.folders {
			for _, name := range db.names {
				there, err := t.database(tree, folder+"/"+name, db.read, seen)
				if err != nil {
					return err
				}
				if there {
					break
				}
			}
		}
	}
	folder, _, err := tree.Lookup(statusFolder)
	if err != nil || folder.Type != fstree.Directory {
		return nil
	}
	for _, entry := range folder.Children() {
		if entry.Node.Type != fstree.Regular || !isStatus(entry.Name) {
			continue
		}
		if _, err := t.database(tree, statusFolder+"/"+entry.Name, readDpkg, seen); err != nil {
			return err
		}
	}
	return nil
}

// kept finds the content of a file that the scan kept; found is nil where there is no such file.
func (t *taker) kept(tree *fstree.Tree, name string) (node *fstree.Node, resolved string, found *finding, err error) {
	node, resolved, err = tree.Lookup(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && node.Type != fstree.Regular {
		return nil, "", nil, nil
	}
	if err != nil {
		return nil, "", nil, err
	}
	if found = t.finding(node); found == nil || found.kept == nil {
		return nil, "", nil, fmt.Errorf("/%s leads to /%s, whose name is none of a package database", name, resolved)
	}
	return node, resolved, found, nil
}

func (t *taker) release(tree *fstree.Tree) error {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		node, resolved, found, err := t.kept(tree, name)
		if err != nil {
			return err
		}
		if found == nil {
			continue
		}
		if t.inventory.Release, err = ospkg.ReadRelease(found.kept); err != nil {
			return t.at(node, resolved, err)
		}
		return nil
	}
	return nil
}

// at says which file of which layer an error is of.
func (t *taker) at(node *fstree.Node, path string, err error) error {
	return fmt.Errorf("%s: /%s: %w; a list of packages without these would be wrong: repair the database, or remove it "+
		"with a layer of the image", t.layers[node.Layer].name, path, err)
}

// database adds the packages of one.
func (t *taker) database(
	tree *fstree.Tree, name string, read func(*io.SectionReader) ([]ospkg.Package, error), seen map[*fstree.Node]bool,
) (there bool, err error) {
	node, resolved, found, err := t.kept(tree, name)
	if found == nil || err != nil {
		return false, err
	}
	if seen[node] {
		return true, nil
	}
	seen[node] = true
	packages, err := read(found.kept)
	if err != nil {
		return false, t.at(node, resolved, err)
	}
	layers := t.origins(int(node.Layer), path.Clean(resolved), packages, read)
	for i, p := range packages {
		t.inventory.Packages = append(t.inventory.Packages, Package{p, t.layers[layers[i]].index, "/" + resolved})
	}
	return true, t.ctx.Err()
}

// identity is what makes a package the same in the databases of two layers.
type identity struct{ name, version, epoch, arch string }

func identityOf(p ospkg.Package) identity { return identity{p.Name, p.Version, p.Epoch, p.Arch} }

// origins tells for each package of a database, which lies in the layer last, the layer that brought it: the lowest from
// which on all databases at the same path have it.
func (t *taker) origins(last int, path string, packages []ospkg.Package, read func(*io.SectionReader) ([]ospkg.Package, error)) []int {
	since := map[identity]int{}
	for i, layer := range t.layers[:last] {
		found := layer.paths[path]
		if found == nil {
			continue
		}
		// One that cannot be read is not in the image.
		older, err := read(io.NewSectionReader(found.kept, 0, found.kept.Size()))
		if err != nil {
			older = nil
		}
		now := make(map[identity]int, len(older))
		for _, p := range older {
			from, known := since[identityOf(p)]
			if !known {
				from = i
			}
			now[identityOf(p)] = from
		}
		since = now
	}
	layers := make([]int, len(packages))
	for i, p := range packages {
		layer, known := since[identityOf(p)]
		if !known {
			layer = last
		}
		layers[i] = layer
	}
	return layers
}
