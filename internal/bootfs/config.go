package bootfs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/internal/kconfig"
	"github.com/fledge-build/fledge/internal/kmod"
)

// CheckConfig tells whether a kernel with the configuration can boot the image: each option that it needs is y, or m and
// SelectModules bundles its module of kernel. That is nil when no modules are bundled. The error names every option that
// is missing, a line each.
func (n Needs) CheckConfig(c *kconfig.Config, kernel *kmod.Tree) error {
	all, err := n.list()
	if err != nil {
		return err
	}
	return checkConfig(c, kernel, all)
}

func checkConfig(c *kconfig.Config, kernel *kmod.Tree, all []need) error {
	var errs []error
	for _, n := range all {
		if n.nice {
			continue
		}
		if wrong := n.missing(c, kernel); wrong != "" {
			errs = append(errs, fmt.Errorf("kernel config %s: %s", c.Name(), wrong))
		}
	}
	return errors.Join(errs...)
}

// missing says what the kernel lacks of the need, and what to do; "" is nothing.
func (n need) missing(c *kconfig.Config, kernel *kmod.Tree) string {
	var names []string
	asModule := ""
	for _, p := range n.parts {
		names = append(names, "CONFIG_"+p.option)
		switch {
		case c.BuiltIn(p.option) || c.Module(p.option) && p.loadable(kernel):
			return ""
		case c.Module(p.option):
			asModule = p.unloaded(n.who, kernel)
		}
	}
	values := "y"
	if len(n.parts[0].modules) > 0 {
		values = "y, or to m and bundle the kernel's modules"
	}
	switch {
	case asModule != "":
		return asModule
	case len(names) > 1:
		return fmt.Sprintf("neither %s is set, one of which %s needs: set one to %s", strings.Join(names, " nor "), n.who, values)
	}
	return fmt.Sprintf("%s is not set, which %s needs: set it to %s", names[0], n.who, values)
}

// loadable tells whether the kernel has a file of the module.
func (p part) loadable(kernel *kmod.Tree) bool {
	if kernel == nil {
		return false
	}
	for _, m := range p.modules {
		if kernel.HasFile(m) {
			return true
		}
	}
	return false
}

// unloaded says why m is not enough.
func (p part) unloaded(who string, kernel *kmod.Tree) string {
	what := fmt.Sprintf("CONFIG_%s=m, which %s needs", p.option, who)
	switch {
	case len(p.modules) == 0:
		return what + ", but it has to be built in: set it to y"
	case kernel == nil:
		return what + ", but no modules are bundled: give the modules of the kernel, or set it to y"
	}
	return fmt.Sprintf("%s, but the modules of kernel %s have no file of %s: give the modules and the config of the same kernel",
		what, kernel.Release(), strings.Join(p.modules, " or "))
}
