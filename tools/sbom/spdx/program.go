package spdx

import (
	"runtime/debug"
	"strings"

	"github.com/package-url/packageurl-go"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/fledge-build/fledge/internal/inventory"
	"github.com/fledge-build/fledge/internal/release"
)

// program adds a Go program of a layer.
func (d *document) program(p inventory.Program) common.ElementID {
	id := identifier("Program", p.Path, p.Path)
	pack := &v2_3.Package{
		PackageName:           line(p.Path),
		PackageSPDXIdentifier: id,
		PackageFileName:       line(p.Path),
		PrimaryPackagePurpose: purposeApplication,
	}
	d.builtByGo(pack, p.Info)
	return id
}

var fileNames = map[string]string{
	inventory.KindAgent:   "agent",
	inventory.KindBusybox: "busybox",
	inventory.KindInit:    "fledge-init",
}

// file adds a file that is from no layer.
func (d *document) file(f inventory.File) common.ElementID {
	name := fileNames[f.Kind]
	if name == "" {
		name = f.Path
	}
	pack := &v2_3.Package{
		PackageName:           line(name),
		PackageSPDXIdentifier: identifier("File", name, f.Kind+" "+f.Path+" "+f.SHA256),
		PackageFileName:       line(f.Path),
		PackageChecksums:      []common.Checksum{{Algorithm: common.SHA256, Value: f.SHA256}},
		PackageSourceInfo:     line(f.Kind + " " + f.Label),
		PrimaryPackagePurpose: purposeFile,
	}
	if f.Kind == inventory.KindInit {
		pack.PackageVersion = release.Version
		pack.PrimaryPackagePurpose = purposeApplication
	}
	if f.Info == nil {
		d.add(pack)
	} else {
		d.builtByGo(pack, f.Info)
	}
	return pack.PackageSPDXIdentifier
}

// builtByGo adds a program with what its linker noted: its own module and those that it is linked of.
func (d *document) builtByGo(program *v2_3.Package, info *debug.BuildInfo) {
	if main := info.Main; main.Path != "" {
		version := released(main.Version)
		if program.PackageVersion == "" {
			program.PackageVersion = version
		}
		subpath := ""
		if below, ok := strings.CutPrefix(info.Path, main.Path+"/"); ok {
			subpath = below
		}
		program.PackageExternalReferences = purlReference(goPURL(main.Path, version, subpath))
	}
	program.PackageComment = line("Go program "+info.Path) + ", built with " + line(info.GoVersion)
	d.add(program)
	depend := func(path, version, sum string) {
		d.relate(program.PackageSPDXIdentifier, common.TypeRelationshipDependsOn, d.module(path, version, sum))
	}
	if version, ok := strings.CutPrefix(info.GoVersion, "go"); ok {
		version, _, _ = strings.Cut(version, " ") // the experiments that it was built with
		depend("stdlib", version, "")
	}
	for _, dep := range info.Deps {
		// The module that was taken in place of another is the one that is there; a folder has no name or version of its own.
		path, version, sum := dep.Path, dep.Version, dep.Sum
		if r := dep.Replace; r != nil {
			version, sum = r.Version, r.Sum
			if released(version) != "" {
				path = r.Path
			}
		}
		depend(path, released(version), sum)
	}
}

// released is a version that names a module's content, which that of a folder does not.
func released(version string) string {
	if version == "(devel)" {
		return ""
	}
	return line(version)
}

// module adds a Go module. The sum is that of go.sum, which is over a list of its files: a checksum of SPDX is over one file.
func (d *document) module(path, version, sum string) common.ElementID {
	purl := goPURL(path, version, "")
	id := identifier("Go", path, purl)
	pack := &v2_3.Package{
		PackageName:               line(path),
		PackageSPDXIdentifier:     id,
		PackageVersion:            version,
		PackageExternalReferences: purlReference(purl),
		PrimaryPackagePurpose:     purposeLibrary,
	}
	if sum != "" {
		pack.PackageComment = line("go.sum: " + sum)
	}
	d.add(pack)
	return id
}

// goPURL is a package URL of the type golang.
func goPURL(path, version, subpath string) string {
	namespace, name := "", line(path)
	if i := strings.LastIndex(name, "/"); i >= 0 {
		namespace, name = name[:i], name[i+1:]
	}
	return packageurl.NewPackageURL("golang", namespace, name, version, nil, subpath).ToString()
}
