package seccomp

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	profiles "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// call is a syscall as the kernel would show it to the program.
type call struct {
	info *arch.Info
	name string
	nr   int // without a name
	args []uint64
}

// run runs the program in the interpreter of x/net/bpf, which loads big-endian words.
func run(t *testing.T, prog []bpf.RawInstruction, c call) uint32 {
	t.Helper()
	insns, ok := bpf.Disassemble(prog)
	if !ok {
		t.Fatal("the program does not disassemble")
	}
	vm, err := bpf.NewVM(insns)
	if err != nil {
		t.Fatal(err)
	}
	if c.name != "" {
		c.nr = c.info.SyscallNames[c.name]
	}
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offNumber:], uint32(c.nr))
	binary.BigEndian.PutUint32(data[offArch:], uint32(c.info.ID))
	for i, a := range c.args {
		binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
	}
	got, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(got)
}

func errno(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

// The default profile for a container with the usual capabilities, of the architecture that the test runs on.
func TestDefaultProfile(t *testing.T) {
	spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{
		Bounding: []string{"CAP_CHOWN", "CAP_SYS_CHROOT"}}}}
	profile, err := profiles.GetDefaultProfile(spec)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := Compile(profile)
	if err != nil {
		t.Fatal(err)
	}
	if len(prog) > 4096 {
		t.Fatalf("%d instructions, the kernel takes 4096", len(prog))
	}
	native, small := arch.X86_64, arch.I386
	if runtime.GOARCH == "arm64" {
		native, small = arch.AARCH64, arch.ARM
	}
	const allow = unix.SECCOMP_RET_ALLOW
	for _, c := range []struct {
		call
		want uint32
	}{
		{call{info: native, name: "read"}, allow},
		{call{info: native, name: "execve"}, allow},
		{call{info: native, name: "chroot"}, allow},
		{call{info: native, name: "mount"}, errno(unix.EPERM)},
		{call{info: native, name: "reboot"}, errno(unix.EPERM)},
		{call{info: native, name: "unshare"}, errno(unix.EPERM)},
		{call{info: native, name: "clone3"}, errno(unix.ENOSYS)},
		{call{info: native, name: "clone", args: []uint64{uint64(unix.SIGCHLD)}}, allow},
		{call{info: native, name: "clone", args: []uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}}, errno(unix.EPERM)},
		{call{info: native, name: "socket", args: []uint64{unix.AF_INET}}, allow},
		{call{info: native, name: "socket", args: []uint64{unix.AF_ALG}}, errno(unix.EPERM)},
		{call{info: native, name: "socket", args: []uint64{1<<32 | unix.AF_INET}}, errno(unix.EPERM)},
		{call{info: native, name: "personality", args: []uint64{0xffffffff}}, allow},
		{call{info: native, name: "personality", args: []uint64{0x40000}}, errno(unix.EPERM)},
		{call{info: native, nr: 4000}, errno(unix.ENOSYS)},
		{call{info: native, nr: 0x40000001}, errno(unix.ENOSYS)}, // x32
		{call{info: small, name: "read"}, allow},
		{call{info: small, name: "mount"}, errno(unix.EPERM)},
		{call{info: arch.S390X, name: "read"}, errno(unix.EPERM)},
	} {
		if got := run(t, prog, c.call); got != c.want {
			t.Errorf("%s %s %d %#x: got %#x, want %#x", c.info.Name, c.name, c.nr, c.args, got, c.want)
		}
	}
}

// TestNumbers compares the tables with the numbers that x/sys has from the kernel's headers, for what the default profile
// allows.
func TestNumbers(t *testing.T) {
	allowed := map[string]bool{}
	for _, rule := range profiles.DefaultProfile().Syscalls {
		for _, name := range rule.Names {
			allowed[name] = true
		}
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	constant := regexp.MustCompile(`(?m)^\s+SYS_(\w+) += (\d+)`)
	for goarch, info := range map[string]*arch.Info{
		"386": arch.I386, "amd64": arch.X86_64, "arm": arch.ARM, "arm64": arch.AARCH64,
	} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "unix", "zsysnum_linux_"+goarch+".go"))
		if err != nil {
			t.Fatal(err)
		}
		found := constant.FindAllStringSubmatch(string(text), -1)
		if len(found) < 300 {
			t.Fatalf("%s: only %d syscalls", goarch, len(found))
		}
		for _, m := range found {
			name := strings.ToLower(m[1])
			if n, ok := number(info, name); allowed[name] && (!ok || strconv.Itoa(n) != m[2]) {
				t.Errorf("%s: %s is %d, %v, want %s", goarch, name, n, ok, m[2])
			}
		}
	}
}

// Every condition against values below, at and above it, in both halves of the argument.
func TestConditions(t *testing.T) {
	const at = 5<<32 | 7
	values := []uint64{0, 7, at - 1, at, at + 1, at - 1<<32, at + 1<<32, 4<<32 | 9, 6<<32 | 1, ^uint64(0)}
	for op, holds := range map[specs.LinuxSeccompOperator]func(v uint64) bool{
		specs.OpEqualTo:      func(v uint64) bool { return v == at },
		specs.OpNotEqual:     func(v uint64) bool { return v != at },
		specs.OpLessThan:     func(v uint64) bool { return v < at },
		specs.OpLessEqual:    func(v uint64) bool { return v <= at },
		specs.OpGreaterThan:  func(v uint64) bool { return v > at },
		specs.OpGreaterEqual: func(v uint64) bool { return v >= at },
		specs.OpMaskedEqual:  func(v uint64) bool { return v&at == 4<<32|1 },
	} {
		prog, err := Compile(&specs.LinuxSeccomp{
			DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"close"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
				{Index: 5, Op: op, Value: at, ValueTwo: 4<<32 | 1}, {Index: 0, Op: specs.OpEqualTo, Value: 1}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range append(values, 4<<32|1, 6<<32|9) {
			for first := range uint64(2) {
				want := errno(unix.EPERM)
				if holds(v) && first == 1 {
					want = unix.SECCOMP_RET_ALLOW
				}
				c := call{info: arch.X86_64, name: "close", args: []uint64{first, 0, 0, 0, 0, v}}
				if got := run(t, prog, c); got != want {
					t.Errorf("%s, %#x, %d: got %#x, want %#x", op, v, first, got, want)
				}
			}
		}
	}
}

func TestUnknown(t *testing.T) {
	good := func() *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{
			DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow,
				Args: []specs.LinuxSeccompArg{{Op: specs.OpEqualTo}}}},
		}
	}
	if _, err := Compile(good()); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*specs.LinuxSeccomp){
		"default":      func(p *specs.LinuxSeccomp) { p.DefaultAction = specs.ActTrace },
		"action":       func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action = specs.ActNotify },
		"operator":     func(p *specs.LinuxSeccomp) { p.Syscalls[0].Args[0].Op = "SCMP_CMP_OTHER" },
		"argument":     func(p *specs.LinuxSeccomp) { p.Syscalls[0].Args[0].Index = 6 },
		"architecture": func(p *specs.LinuxSeccomp) { p.Architectures = []specs.Arch{specs.ArchMIPS} },
	} {
		p := good()
		edit(p)
		if _, err := Compile(p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
