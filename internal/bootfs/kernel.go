package bootfs

import (
	"github.com/fledge-build/fledge/internal/kconfig"
	"github.com/fledge-build/fledge/internal/kmod"
)

// Kernel is what is known of the kernel that will boot an image; never the one that runs here.
type Kernel struct {
	Modules string   // lib/modules/RELEASE, a folder or a tar; "" bundles none
	Config  string   // its configuration, a file that kconfig.Open reads; "" checks nothing
	Extra   []string // further modules
}

// Bundle gives the modules that choose takes from the kernel, once conforms finds nothing wrong with its configuration.
// These two are the methods of Needs, or what there is in their place for a build machine.
func (k Kernel) Bundle(
	choose func(*kmod.Tree, []string) ([]kmod.Module, error), conforms func(*kconfig.Config, *kmod.Tree) error,
) (modules []kmod.Module, err error) {
	var tree *kmod.Tree
	if k.Modules != "" {
		if tree, err = kmod.Open(k.Modules); err != nil {
			return nil, err
		}
		defer func() {
			if closeErr := tree.Close(); err == nil {
				err = closeErr
			}
		}()
	}
	if k.Config != "" {
		config, err := kconfig.Open(k.Config)
		if err != nil {
			return nil, err
		}
		if err := conforms(config, tree); err != nil {
			return nil, err
		}
	}
	if tree == nil {
		return nil, nil
	}
	return choose(tree, k.Extra)
}
