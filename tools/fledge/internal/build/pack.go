package build

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/fledge-build/fledge/internal/bootfs"
	"github.com/fledge-build/fledge/internal/busybox"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/packcache"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// Paths in an image.
const (
	agentPath = "/bin/kestrel"
	initPath  = "/init"
)

// layer is a layer of an image as it is stored.
type layer struct {
	digest string
	size   int64 // in bytes
	open   func() (io.ReadCloser, error)
}

// packImage packs the layers of the image, base layer first.
func (t *task) packImage(ctx context.Context) (files []string, err error) {
	if t.image == nil {
		return nil, nil
	}
	for i, l := range t.image.layers {
		name := fmt.Sprintf("layer %d of %d", i+1, len(t.image.layers))
		step := t.UI.Step("pack %s, %s", name, ui.Short(l.digest))
		defer step.End()
		open := func() (io.ReadCloser, error) {
			in, err := l.open()
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{step.Reader(in, l.size), in}, nil
		}
		p, err := t.packs.Layer(l.digest, func(to layerpack.Adder) error {
			return packing.AddLayer(ctx, to, open, l.digest, l.size, 0)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.image.name, err)
		}
		t.packed(step, p, Layer{Name: name, Digest: l.digest})
		files = append(files, p.File)
	}
	return files, nil
}

// packFiles packs what add adds.
func (t *task) packFiles(name string, add func(layerpack.Adder) error) (string, error) {
	step := t.UI.Step("pack %s", name)
	defer step.End()
	p, err := t.packs.Files(add)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	t.packed(step, p, Layer{Name: name})
	return p.File, nil
}

func (t *task) packed(step *ui.Step, p packcache.Pack, l Layer) {
	l.PackSize, l.Cached = p.Size, p.Cached
	t.layers = append(t.layers, l)
	was := ""
	if p.Cached {
		was = ", packed before"
	}
	step.Done("%s%s", ui.Size(p.Size), was)
}

// packAgent packs the agent as one more layer.
func (t *task) packAgent(ctx context.Context) (string, error) {
	file, err := t.agent(ctx)
	if err != nil {
		return "", err
	}
	program := true
	spec := &mapping.Spec{Mappings: []mapping.Mapping{{Src: file, Dest: agentPath[1:], Executable: &program}}}
	return t.packFiles("agent", func(to layerpack.Adder) error { return spec.Pack(ctx, to) })
}

// packMappings packs the files of the recipe as one more layer, if there are any.
func (t *task) packMappings(ctx context.Context) ([]string, error) {
	if len(t.Recipe.Mappings) == 0 {
		return nil, nil
	}
	spec, err := t.mappings()
	if err != nil {
		return nil, err
	}
	file, err := t.packFiles("mappings", func(to layerpack.Adder) error { return spec.Pack(ctx, to) })
	if err != nil {
		return nil, err
	}
	return []string{file}, nil
}

// packBusybox packs busybox and the links of its applets.
func (t *task) packBusybox(ctx context.Context) (string, error) {
	file, err := t.busybox(ctx)
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return t.packFiles("busybox", func(to layerpack.Adder) error { return busybox.AddLayer(to, program) })
}

// packInit packs Fledge's init, which becomes the program exec.
func (t *task) packInit(exec string) (string, error) {
	program, err := t.Payload.Program("init-" + t.Arch)
	if err != nil {
		return "", err
	}
	o := bootfs.LayerOptions{Init: program, Exec: exec, Modules: t.modules}
	return t.packFiles("init", func(to layerpack.Adder) error { return bootfs.AddLayer(to, o) })
}
