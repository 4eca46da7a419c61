package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/vmm"
	"github.com/fledge-build/fledge/internal/vmm/qemu"
)

// spec is what to boot and what to look for. File names that are relative are so to the working directory, which for a
// Bazel test is the main repository in its runfiles.
type spec struct {
	Arch      string `json:"arch"` // of the guest, amd64 or arm64; default: this machine's
	Kernel    string `json:"kernel"`
	Initramfs string `json:"initramfs"`
	Rootfs    string `json:"rootfs"`   // image of the first virtio disk
	Writes    bool   `json:"writes"`   // the guest may write to that disk; its file stays as it is
	Manifest  string `json:"manifest"` // manifest.json, put on the kernel command line as the runtime does
	MemoryMB  int    `json:"memory_mb"`
	CPUs      int    `json:"cpus"`
	Cmdline   string `json:"cmdline"` // further kernel parameters

	Expect         []string `json:"expect"`       // texts, each on a line of the console, in any order
	ExpectRegex    []string `json:"expect_regex"` // the same as regular expressions (RE2)
	HTTP           httpGet  `json:"http"`
	TimeoutSeconds int      `json:"timeout_seconds"`

	QEMU    string `json:"qemu"`    // the emulator; default: FLEDGE_QEMU or FLEDGE_QEMU_ARM64, then PATH
	Accel   string `json:"accel"`   // auto, kvm or tcg
	Machine string `json:"machine"` // QEMU's machine type; default: q35 on amd64, virt on arm64
	Repeat  string `json:"repeat"`  // command that repeats the test, shown when it fails

	verbose bool // show the console
}

// httpGet is a request that the guest must answer with status 200. Port 0 sends none.
type httpGet struct {
	Port   int    `json:"port"`
	Path   string `json:"path"`
	Expect string `json:"expect"` // text in the answer's body
}

func newSpec() *spec {
	return &spec{Arch: runtime.GOARCH, MemoryMB: 512, CPUs: 1, TimeoutSeconds: 120, HTTP: httpGet{Path: "/"}}
}

// parse reads the file that args or specFile name and then the other flags, which overrule it.
func parse(args []string, specFile string, stderr io.Writer) (*spec, error) {
	file := specFile
	fs := newSpec().flags(&file) // only to find --spec
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fs.Usage()
		return nil, err
	case err != nil:
		return nil, cli.Usagef("%v", err)
	case fs.NArg() > 0:
		return nil, cli.Usagef("unexpected argument %q", fs.Arg(0))
	}
	s := newSpec()
	if file != "" {
		if err := s.load(file); err != nil {
			return nil, cli.Usagef("%s: %v", file, err)
		}
		s.verbose = file == specFile
	}
	if err := s.flags(&file).Parse(args); err != nil {
		return nil, cli.Usagef("%v", err)
	}
	return s, s.check()
}

func (s *spec) load(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(s)
}

// flags are the command line's flags; what s holds already is their default.
func (s *spec) flags(file *string) *flag.FlagSet {
	fs := flag.NewFlagSet("boot", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	list := func(name, usage string, to *[]string) {
		fs.Func(name, usage, func(v string) error {
			*to = append(*to, v)
			return nil
		})
	}
	fs.StringVar(file, "spec", *file, "JSON `file` with what to boot and to expect")
	fs.StringVar(&s.Arch, "arch", s.Arch, "`architecture` of the guest: amd64 or arm64")
	fs.StringVar(&s.Kernel, "kernel", s.Kernel, "kernel, a `file`")
	fs.StringVar(&s.Initramfs, "initramfs", s.Initramfs, "initramfs, a `file`")
	fs.StringVar(&s.Rootfs, "rootfs", s.Rootfs, "image of the first virtio disk, a `file`, attached read-only")
	fs.BoolVar(&s.Writes, "writes", s.Writes, "let the guest write to that disk; the changes end with the machine")
	fs.StringVar(&s.Manifest, "manifest", s.Manifest, "manifest.json, a `file`, put on the kernel command line")
	fs.IntVar(&s.MemoryMB, "memory-mb", s.MemoryMB, "memory in `MiB`")
	fs.IntVar(&s.CPUs, "cpus", s.CPUs, "`number` of processors")
	fs.StringVar(&s.Cmdline, "cmdline", s.Cmdline, "further kernel `parameters`")
	list("expect", "`text` that must come up on the console; may be repeated", &s.Expect)
	list("expect-regex", "`pattern` that a line of the console must match; may be repeated", &s.ExpectRegex)
	fs.IntVar(&s.HTTP.Port, "http-port", s.HTTP.Port, "`port` in the guest that must answer an HTTP GET with status 200")
	fs.StringVar(&s.HTTP.Path, "http-path", s.HTTP.Path, "`path` of the HTTP request")
	fs.StringVar(&s.HTTP.Expect, "http-expect", s.HTTP.Expect, "`text` that the HTTP answer must have")
	fs.IntVar(&s.TimeoutSeconds, "timeout", s.TimeoutSeconds, "`seconds` until giving up")
	fs.StringVar(&s.QEMU, "qemu", s.QEMU, "the emulator, a `program`; default: FLEDGE_QEMU or FLEDGE_QEMU_ARM64, then PATH")
	fs.StringVar(&s.Accel, "accel", s.Accel, "`accelerator`: auto (KVM where it works), kvm or tcg (default auto)")
	fs.StringVar(&s.Machine, "machine", s.Machine, "QEMU's machine `type` (default q35 on amd64, virt on arm64)")
	fs.BoolVar(&s.verbose, "verbose", s.verbose, "show the console")
	return fs
}

func (s *spec) check() error {
	switch {
	case s.Kernel == "":
		return cli.Usagef("no kernel: give --kernel")
	case s.TimeoutSeconds < 1:
		return cli.Usagef("a time limit of %d s", s.TimeoutSeconds)
	case s.HTTP.Port < 0 || s.HTTP.Port > 65535:
		return cli.Usagef("HTTP port %d", s.HTTP.Port)
	case s.HTTP.Port == 0 && s.HTTP.Expect != "":
		return cli.Usagef("an HTTP answer is expected, but no HTTP port is given")
	case !strings.HasPrefix(s.HTTP.Path, "/"):
		return cli.Usagef("HTTP path %q does not begin with a slash", s.HTTP.Path)
	}
	return nil
}

func (s *spec) timeout() time.Duration { return time.Duration(s.TimeoutSeconds) * time.Second }

// wants are the expectations that the console has to meet.
func (s *spec) wants() ([]*want, error) {
	var wants []*want
	for _, text := range s.Expect {
		wants = append(wants, &want{name: fmt.Sprintf("%q", text), matches: func(line string) bool {
			return strings.Contains(line, text)
		}})
	}
	for _, pattern := range s.ExpectRegex {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, cli.Usagef("expected pattern: %v", err)
		}
		wants = append(wants, &want{name: fmt.Sprintf("pattern %q", pattern), matches: re.MatchString})
	}
	return wants, nil
}

// machine describes the virtual machine.
func (s *spec) machine(console io.Writer) (vmm.Spec, error) {
	m := vmm.Spec{
		Arch: s.Arch, Kernel: s.Kernel, Initramfs: s.Initramfs,
		MemoryMB: s.MemoryMB, CPUs: s.CPUs, Cmdline: s.Cmdline, Console: console,
	}
	if s.Rootfs != "" {
		m.Disks = []vmm.Disk{{File: s.Rootfs, Snapshot: s.Writes}}
	}
	if s.HTTP.Port != 0 {
		m.Ports = []int{s.HTTP.Port}
	}
	if s.Manifest != "" {
		described, err := manifest.ReadFile(s.Manifest)
		if err != nil {
			return m, err
		}
		param, err := described.Parameter()
		if err != nil {
			return m, fmt.Errorf("%s: %w", s.Manifest, err)
		}
		m.Cmdline = strings.TrimSpace(m.Cmdline + " " + param)
	}
	return m, nil
}

// driver runs the machine.
func (s *spec) driver(note func(string)) (qemu.Driver, error) {
	program, err := qemu.Find(s.Arch, cmp.Or(s.QEMU, os.Getenv(qemu.Variable(s.Arch))))
	if err != nil {
		return qemu.Driver{}, err
	}
	return qemu.Driver{Program: program, Accel: s.Accel, Type: s.Machine, Note: note}, nil
}
