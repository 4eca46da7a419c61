package main

import (
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
	"github.com/fledge-build/fledge/tools/fledge/internal/origin"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// originFlags name the container image that an image was made of.
type originFlags struct {
	image, arch string
	common      commonFlags
}

func (f *originFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.image, "image", "", "show what came from which layer of the container image with this `reference`: nginx:alpine, docker-daemon:app:1, oci:folder")
	flags.StringVar(&f.arch, "arch", runtime.GOARCH, "with --image, the `architecture` of it: amd64 or arm64")
	f.common.register(flags)
}

func (f *originFlags) check(flags *pflag.FlagSet) error {
	if f.image == "" {
		for _, name := range []string{"image", "arch", "cache"} {
			if flags.Changed(name) {
				return cli.Usagef("--%s is for --image REFERENCE, which is not given", name)
			}
		}
	}
	return checkArch(f.arch)
}

// find compares an image with the container image, if there is one; dir is where the image is.
func (f *originFlags) find(cmd *cobra.Command, im *imagefile.Image, dir string) (*origin.Report, error) {
	if f.image == "" {
		return nil, nil
	}
	ref, err := pull.ParseReference(f.image, "")
	if err != nil {
		return nil, cli.Usagef("--image: %v", err)
	}
	digest, err := pinned(ref, dir, ".")
	if err != nil {
		return nil, err
	}
	u := ui.New(cmd.OutOrStdout(), cmd.ErrOrStderr(), ui.Auto)
	defer u.Close()
	client, kept, err := f.common.open(u)
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	container, err := u.Pull(cmd.Context(), client, ref, digest, "linux/"+f.arch)
	if err != nil {
		return nil, err
	}
	defer container.Close()
	return origin.Find(cmd.Context(), im, container, ref.String())
}

// pinned is the digest that the first fledge.lock of some folders has for the image of a registry, "" for none.
func pinned(ref pull.Reference, dirs ...string) (string, error) {
	if ref.Transport != pull.Registry {
		return "", nil // what is on this machine is taken as it is
	}
	for _, dir := range dirs {
		lock, err := lockfile.Read(filepath.Join(dir, lockfile.Name))
		if err != nil {
			return "", err
		}
		if digest := lock.Image(ref.String()); digest != "" {
			return digest, nil
		}
	}
	return "", nil
}
