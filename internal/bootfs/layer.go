package bootfs

import (
	"bytes"
	"io"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/kmod"
)

// LayerOptions is what the init of an initramfs image is made of.
type LayerOptions struct {
	Init    []byte        // a static Linux program, /init
	Exec    string        // absolute path of the program that the init becomes; see bootconf.CheckExec
	Modules []kmod.Module // in the order to load them; all for the init's architecture
}

// adder takes the entries of a layer, as a builder of packs does.
type adder interface {
	Add(e fstree.Entry, data io.Reader, size int64) error
}

// AddLayer adds the init, its configuration and its modules to a layer. The owner is 0:0, the time 1970.
func AddLayer(to adder, o LayerOptions) error {
	if err := bootconf.CheckExec(o.Exec); err != nil {
		return err
	}
	if err := checkPrograms(o.Init, o.Modules); err != nil {
		return err
	}
	conf := bootconf.Config{Exec: o.Exec, Modules: fileNames(o.Modules)}
	add := func(path string, mode uint16, data []byte) error {
		e := fstree.Entry{Path: path, Type: fstree.Regular, Mode: mode}
		return to.Add(e, bytes.NewReader(data), int64(len(data)))
	}
	if err := add("init", 0o755, o.Init); err != nil {
		return err
	}
	if err := add(bootconf.File, 0o644, conf.Format()); err != nil {
		return err
	}
	for i, m := range o.Modules {
		if err := add(bootconf.ModulesDir+"/"+conf.Modules[i], 0o644, m.Data); err != nil {
			return err
		}
	}
	return nil
}
