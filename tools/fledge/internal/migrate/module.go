package migrate

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/bazelbuild/buildtools/build"

	"github.com/fledge-build/fledge/internal/agent/modulefile"
	"github.com/fledge-build/fledge/internal/release"
)

// ModuleVersion is the version of Fledge's Bazel module.
const ModuleVersion = release.Version

// Module gives a MODULE.bazel with what the rules need: src, which errors call file, with the dependency on Fledge and its
// tags changed or added. An empty src gives a new file.
func (p *Plan) Module(file string, src []byte) ([]byte, error) {
	out, err := addDependency(file, src)
	if err != nil {
		return nil, err
	}
	if p.agent != nil {
		if out, err = modulefile.Set(file, out, *p.agent); err != nil {
			return nil, err
		}
	}
	if p.busybox != nil {
		if out, err = modulefile.SetBusybox(file, out, *p.busybox); err != nil {
			return nil, err
		}
	}
	for _, image := range p.images {
		if out, err = modulefile.SetImage(file, out, image); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// addDependency adds a bazel_dep of Fledge below the last one, or below module, when there is none.
func addDependency(file string, src []byte) ([]byte, error) {
	f, err := build.ParseModule(file, src)
	if err != nil {
		return nil, err
	}
	end := 0
	for _, kind := range []string{"module", "bazel_dep"} {
		for _, r := range f.Rules(kind) {
			if r.AttrString("name") == "fledge" {
				return src, nil
			}
			_, to := r.Call.Span()
			end = to.Byte
		}
	}
	line := fmt.Sprintf("bazel_dep(name = \"fledge\", version = %q)\n", ModuleVersion)
	if end == 0 {
		if len(src) > 0 {
			line += "\n"
		}
		return slices.Concat([]byte(line), src), nil
	}
	if i := bytes.IndexByte(src[end:], '\n'); i >= 0 {
		end += i + 1
	} else {
		end, line = len(src), "\n"+line
	}
	if len(f.Rules("bazel_dep")) == 0 {
		line = "\n" + line
	}
	return slices.Concat(src[:end], []byte(line), src[end:]), nil
}
