package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/internal/solve"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm/drivers"
	"github.com/fledge-build/fledge/tools/fledge/internal/build"
	"github.com/fledge-build/fledge/tools/fledge/internal/machine"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// directFlags say what a fledge.toml would say of the build of a Dockerfile.
type directFlags struct {
	context, target string
	buildArgs       []string
	agent, busybox  string
	modules         string
	initramfs       bool
}

var directNames = []string{"context", "target", "build-arg", "agent", "busybox", "modules", "output-initramfs"}

func (d *directFlags) register(flags *pflag.FlagSet) {
	d.registerPinned(flags)
	flags.StringVar(&d.context, "context", "", "of a Dockerfile: `folder` of the build context; by default the Dockerfile's")
	flags.StringVar(&d.target, "target", "", "of a Dockerfile: `stage` to build; by default the last one")
	flags.StringVar(&d.modules, "modules", "", "of a Dockerfile: lib/modules/RELEASE, a `folder` or a tar, of the kernel that will boot the image, to bundle what it needs")
}

// registerPinned registers those that say what the lock pins.
func (d *directFlags) registerPinned(flags *pflag.FlagSet) {
	flags.StringArrayVar(&d.buildArgs, "build-arg", nil, "of a Dockerfile: `KEY=VALUE` of an ARG; may be repeated")
	flags.StringVar(&d.agent, "agent", "latest", "of a Dockerfile: the agent, a `release` (v0.7.3, latest), a URL or a file (./kestrel)")
	flags.StringVar(&d.busybox, "busybox", "", "of a Dockerfile: with --output-initramfs, the `URL` of another busybox than Fledge's own")
	flags.BoolVar(&d.initramfs, "output-initramfs", false, "of a Dockerfile: make an initramfs that is the whole system")
}

// refuse finds flags that a recipe has keys for.
func (d *directFlags) refuse(flags *pflag.FlagSet) error {
	for _, name := range directNames {
		if flags.Changed(name) {
			return cli.Usagef("--%s is for fledge build DOCKERFILE or update DOCKERFILE; with a recipe, its keys say it", name)
		}
	}
	return nil
}

// refuseConfig finds a recipe beside a Dockerfile.
func refuseConfig(flags *pflag.FlagSet, dockerfile string) error {
	if flags.Changed("config") {
		return cli.Usagef("--config and %s: give a recipe or a Dockerfile", dockerfile)
	}
	return nil
}

// recipe is that of a Dockerfile with Fledge's defaults.
func (d *directFlags) recipe(dockerfile string) (*recipe.Recipe, error) {
	context := d.context
	if context == "" {
		context = filepath.Dir(dockerfile)
	}
	source, err := d.agentSource()
	if err != nil {
		return nil, err
	}
	r := &recipe.Recipe{
		File: dockerfile, Dir: ".", Strategy: recipe.OCIRootfs,
		Source:     recipe.Source{Dockerfile: dockerfile, Context: context, Target: d.target, BusyboxURL: d.busybox},
		Kernel:     recipe.Kernel{Modules: d.modules},
		Filesystem: recipe.DefaultFilesystem(),
		Agent:      source,
	}
	switch {
	case d.initramfs:
		r.Strategy, r.Filesystem = recipe.Initramfs, recipe.Filesystem{}
	case d.busybox != "":
		return nil, cli.Usagef("--busybox is for --output-initramfs")
	}
	if d.busybox != "" {
		if err := agent.CheckURL(d.busybox); err != nil {
			return nil, cli.Usagef("--busybox: %v", err)
		}
	}
	r.Source.BuildArgs, err = pairs("build-arg", d.buildArgs)
	return r, err
}

func (d *directFlags) agentSource() (a *recipe.Agent, err error) {
	switch {
	case strings.Contains(d.agent, "://"):
		a, err = &recipe.Agent{Strategy: recipe.HTTP, URL: d.agent}, agent.CheckURL(d.agent)
	case strings.ContainsRune(d.agent, '/'):
		a = &recipe.Agent{Strategy: recipe.Local, Path: d.agent}
	default:
		a = &recipe.Agent{Strategy: recipe.Release, Version: d.agent, Repository: agent.Repository}
		err = agent.CheckTag(d.agent)
		if info, statErr := os.Stat(d.agent); d.agent != recipe.Latest && statErr == nil && info.Mode().IsRegular() {
			err = fmt.Errorf("%q is a file here, and a name without a folder is a release", d.agent)
		}
	}
	if err != nil {
		return nil, cli.Usagef("--agent: %v; give a release, a URL or a file with its folder (./kestrel)", err)
	}
	return a, nil
}

func checkArch(arch string) error {
	if !slices.Contains(agent.Architectures, arch) {
		return cli.Usagef("--arch %s: it is amd64 or arm64", arch)
	}
	return nil
}

// pairs are NAME=VALUE values of a flag.
func pairs(flag string, values []string) (map[string]string, error) {
	all := map[string]string{}
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, cli.Usagef("--%s %s: give NAME=VALUE", flag, v)
		}
		if _, twice := all[name]; twice {
			return nil, cli.Usagef("--%s: %s is given twice", flag, name)
		}
		all[name] = value
	}
	return all, nil
}

// solveFlags are about the solve of a Dockerfile, whether a recipe names it or the command line.
type solveFlags struct {
	network, noCache bool
	secrets, ssh     []string
	m                machine.Options
}

func (s *solveFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&s.network, "network", false, "of a Dockerfile: RUN and ADD may use the network")
	flags.BoolVar(&s.noCache, "no-cache", false, "of a Dockerfile: solve anew")
	flags.StringArrayVar(&s.secrets, "secret", nil, "of a Dockerfile: `ID=FILE` for RUN --mount=type=secret; may be repeated")
	flags.StringArrayVar(&s.ssh, "ssh", nil, "of a Dockerfile: `ID=FILE`, a private key for RUN --mount=type=ssh; may be repeated")
	flags.StringVar(&s.m.Kernel, "kernel", "", "of a Dockerfile, xfs and btrfs: kernel of the machine that solves or fills it, a `file`; by default FLEDGE_KERNEL_BZIMAGE or, with --arch arm64, FLEDGE_KERNEL_ARM64, else the host's")
	flags.StringVar(&s.m.Modules, "kernel-modules", "", "of a Dockerfile, xfs and btrfs: that kernel's lib/modules/RELEASE, a `folder` or a tar")
	flags.StringVar(&s.m.VMM, "vmm", drivers.Auto, "of a Dockerfile, xfs and btrfs: what runs that machine: `cloud-hypervisor`, qemu or auto")
}

// used finds flags that are for nothing without a Dockerfile, or without any machine.
func (s *solveFlags) used(machine bool) bool {
	return s.network || s.noCache || len(s.secrets) > 0 || len(s.ssh) > 0 ||
		!machine && (s.m.Kernel != "" || s.m.Modules != "" || s.m.VMM != drivers.Auto)
}

// check finds values that are none.
func (s *solveFlags) check() error {
	for flag, values := range map[string][]string{"secret": s.secrets, "ssh": s.ssh} {
		files, err := pairs(flag, values)
		if err != nil {
			return err
		}
		for id := range files {
			if !wire.IsID(id) {
				return cli.Usagef("--%s: %q is no id: letters, digits and _.-", flag, id)
			}
		}
	}
	return checkVMM(s.m.VMM)
}

func checkVMM(name string) error {
	if !slices.Contains([]string{drivers.Auto, drivers.CloudHypervisor, drivers.QEMU}, name) {
		return cli.Usagef("--vmm %s: it is %s, %s or %s", name, drivers.Auto, drivers.CloudHypervisor, drivers.QEMU)
	}
	return nil
}

func (s *solveFlags) options() (o build.SolveOptions, err error) {
	o.Network, o.NoCache = s.network, s.noCache
	if o.Secrets.Secrets, err = readSecrets("secret", s.secrets); err != nil {
		return o, err
	}
	o.Secrets.SSH, err = readSecrets("ssh", s.ssh)
	return o, err
}

func readSecrets(flag string, values []string) (map[string][]byte, error) {
	files, err := pairs(flag, values)
	if err != nil {
		return nil, err
	}
	secrets, _, err := solve.ReadSecrets(files)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return secrets, nil
}

func (s *solveFlags) machine(u *ui.UI) machine.Options {
	s.m.Note = u.Note
	return s.m
}

// showFlags say how a command tells of its work.
type showFlags struct {
	progress string
	quiet    bool
	json     bool
}

func (s *showFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&s.progress, "progress", ui.Auto, "`how` to tell of steps: live (bars, on a terminal), plain (lines), quiet (warnings alone) or auto")
	flags.BoolVarP(&s.quiet, "quiet", "q", false, "the same as --progress quiet")
	flags.BoolVar(&s.json, "json", false, "tell of everything on standard output, one JSON object a line")
}

// tell runs work, whose steps and error are told as the flags say.
func (s *showFlags) tell(cmd *cobra.Command, work func(*ui.UI) error) error {
	mode, err := s.mode()
	if err != nil {
		return err
	}
	u := ui.New(cmd.OutOrStdout(), cmd.ErrOrStderr(), mode)
	defer u.Close()
	if err = work(u); err != nil {
		u.Error(err)
	}
	return err
}

// mode is that of the UI.
func (s *showFlags) mode() (string, error) {
	switch {
	case !slices.Contains([]string{ui.Auto, ui.Live, ui.Plain, ui.Quiet}, s.progress):
		return "", cli.Usagef("--progress %s: it is auto, live, plain or quiet", s.progress)
	case s.json && (s.quiet || s.progress != ui.Auto):
		return "", cli.Usagef("--json tells of everything; it goes without --quiet and --progress")
	case s.quiet && s.progress != ui.Auto && s.progress != ui.Quiet:
		return "", cli.Usagef("--quiet and --progress %s exclude each other", s.progress)
	case s.quiet:
		return ui.Quiet, nil
	case s.json:
		return ui.JSON, nil
	}
	return s.progress, nil
}

// markFiles has the shell complete a flag with files of an extension.
func markFiles(cmd *cobra.Command, flag, extension string) {
	if err := cmd.MarkFlagFilename(flag, extension); err != nil {
		panic(err) // the flag is not there
	}
}

// readSmall reads a file of at most limit bytes, and one byte more of a larger one, for whoever reads it to refuse.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}
