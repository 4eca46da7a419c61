// Package seccomp turns the seccomp profile of a container into a program for the kernel, in Go alone: what libseccomp
// does for runc. It knows what the default profile of Moby needs, and refuses what it does not know.
package seccomp

import (
	"errors"
	"fmt"

	"github.com/elastic/go-seccomp-bpf/arch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data of linux/seccomp.h; both processors are little-endian.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16 // six of 8 bytes
)

// tables are the architectures that a profile may name. x32 has the number of x86-64, with a bit in the syscall's
// number.
var tables = map[specs.Arch]*arch.Info{
	specs.ArchX86_64:  arch.X86_64,
	specs.ArchX86:     arch.I386,
	specs.ArchAARCH64: arch.AARCH64,
	specs.ArchARM:     arch.ARM,
}

// Compile makes the program of a profile. Syscalls younger than the profile give ENOSYS, not the default action, for
// programs then try the older one; so do those of x32.
func Compile(profile *specs.LinuxSeccomp) ([]bpf.RawInstruction, error) {
	deflt, err := action(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	program := []bpf.Instruction{bpf.LoadAbsolute{Off: offArch, Size: 4}}
	for _, name := range profile.Architectures {
		if name == specs.ArchX32 {
			continue
		}
		info := tables[name]
		if info == nil {
			return nil, fmt.Errorf("seccomp: architecture %s is not known", name)
		}
		block, err := compileArch(profile.Syscalls, info, deflt)
		if err != nil {
			return nil, err
		}
		// The block is longer than a conditional jump reaches.
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(block))})
		program = append(program, block...)
	}
	program = append(program, bpf.RetConstant{Val: deflt})
	return bpf.Assemble(program)
}

// compileArch makes the part for one architecture. It ends in a return.
func compileArch(rules []specs.LinuxSyscall, info *arch.Info, deflt uint32) ([]bpf.Instruction, error) {
	var code []bpf.Instruction
	last := 0
	for _, rule := range rules {
		act, err := action(rule.Action, rule.ErrnoRet)
		if err != nil {
			return nil, err
		}
		for _, name := range rule.Names {
			nr, ok := number(info, name)
			if !ok {
				continue // another architecture's
			}
			last = max(last, nr)
			block, err := compileRule(rule.Args, act)
			if err != nil {
				return nil, fmt.Errorf("seccomp: %s: %w", name, err)
			}
			code = append(code, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(nr), SkipTrue: uint8(len(block))})
			code = append(code, block...)
		}
	}
	head := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(last), SkipFalse: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
	return append(append(head, code...), bpf.RetConstant{Val: deflt}), nil
}

// number is a syscall's number, by the name that the kernel gives it.
func number(info *arch.Info, name string) (int, bool) {
	if info == arch.AARCH64 && name == "newfstatat" {
		name = "fstatat" // so that table calls it
	}
	n, ok := info.SyscallNames[name]
	return n, ok
}

// compileRule makes the part for one syscall: it returns act if all conditions hold, and else goes on behind it with
// the syscall's number loaded again.
func compileRule(args []specs.LinuxSeccompArg, act uint32) ([]bpf.Instruction, error) {
	if len(args) == 0 {
		return []bpf.Instruction{bpf.RetConstant{Val: act}}, nil
	}
	var checks []bpf.Instruction
	for _, a := range args {
		check, err := compileCheck(a)
		if err != nil {
			return nil, err
		}
		checks = append(checks, check...)
	}
	for i, c := range checks {
		if jump, ok := c.(bpf.JumpIf); ok && jump.SkipTrue == fail {
			jump.SkipTrue = uint8(len(checks) - i) // over the checks left and the return
			checks[i] = jump
		}
	}
	return append(checks, bpf.RetConstant{Val: act}, bpf.LoadAbsolute{Off: offNumber, Size: 4}), nil
}

// fail stands for the way out of a rule, which is not known before all its conditions are.
const fail = 255

// compileCheck makes the part for one condition on a 64-bit argument, compared in two halves: it jumps to fail, or
// goes on behind itself.
func compileCheck(a specs.LinuxSeccompArg) ([]bpf.Instruction, error) {
	if a.Index > 5 {
		return nil, errors.New("a syscall has six arguments")
	}
	lo := bpf.LoadAbsolute{Off: offArgs + uint32(a.Index)*8, Size: 4}
	hi := bpf.LoadAbsolute{Off: lo.Off + 4, Size: 4}
	low, high := uint32(a.Value), uint32(a.Value>>32)
	not := func(c bpf.JumpTest, v uint32) bpf.JumpIf { return bpf.JumpIf{Cond: c, Val: v, SkipTrue: fail} }
	// ordered is a comparison that the higher halves decide unless they are the same.
	ordered := func(decided, failed bpf.JumpTest) []bpf.Instruction {
		return []bpf.Instruction{hi, bpf.JumpIf{Cond: decided, Val: high, SkipTrue: 3}, not(bpf.JumpNotEqual, high),
			lo, not(failed, low)}
	}
	switch a.Op {
	case specs.OpEqualTo:
		return []bpf.Instruction{hi, not(bpf.JumpNotEqual, high), lo, not(bpf.JumpNotEqual, low)}, nil
	case specs.OpMaskedEqual:
		return []bpf.Instruction{
			hi, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: high}, not(bpf.JumpNotEqual, uint32(a.ValueTwo>>32)),
			lo, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: low}, not(bpf.JumpNotEqual, uint32(a.ValueTwo)),
		}, nil
	case specs.OpNotEqual:
		return []bpf.Instruction{hi, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: high, SkipTrue: 2},
			lo, not(bpf.JumpEqual, low)}, nil
	case specs.OpGreaterThan:
		return ordered(bpf.JumpGreaterThan, bpf.JumpLessOrEqual), nil
	case specs.OpGreaterEqual:
		return ordered(bpf.JumpGreaterThan, bpf.JumpLessThan), nil
	case specs.OpLessThan:
		return ordered(bpf.JumpLessThan, bpf.JumpGreaterOrEqual), nil
	case specs.OpLessEqual:
		return ordered(bpf.JumpLessThan, bpf.JumpGreaterThan), nil
	}
	return nil, fmt.Errorf("condition %q is not known", a.Op)
}

func action(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	switch a {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActErrno:
		if errno == nil {
			return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), nil
		}
		return unix.SECCOMP_RET_ERRNO | uint32(*errno), nil
	}
	return 0, fmt.Errorf("seccomp: action %s is not known", a)
}
