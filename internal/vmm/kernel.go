package vmm

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"io"
	"os"
)

// kernelHead is as much of a kernel as tells its processor: the headers are in the first KiB, but for a PE header.
const kernelHead = 64 << 10

// KernelArch is the architecture (a GOARCH) that a kernel's header names, or "" when it names none: a file that is
// compressed as a whole, or one of another processor.
func KernelArch(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, kernelHead)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", err
	}
	return kernelArch(head[:n]), nil
}

// kernelArch knows x86's boot protocol (Documentation/arch/x86/boot.rst in the kernel's sources), arm64's Image
// (Documentation/arch/arm64/booting.rst), ELF, and the PE header of compressed EFI kernels.
func kernelArch(head []byte) string {
	at := func(offset int, magic string) bool {
		return len(head) >= offset && bytes.HasPrefix(head[offset:], []byte(magic))
	}
	switch {
	case at(0, "\x7fELF") && len(head) >= 20:
		return elfMachines[elf.Machine(binary.LittleEndian.Uint16(head[18:]))]
	case at(0x202, "HdrS"):
		return "amd64"
	case at(56, "ARM\x64"):
		return "arm64"
	case at(0, "MZ") && len(head) >= 64:
		header := int64(binary.LittleEndian.Uint32(head[60:]))
		if header+6 <= int64(len(head)) && at(int(header), "PE\x00\x00") {
			return peMachines[binary.LittleEndian.Uint16(head[header+4:])]
		}
	}
	return ""
}

// The processors' numbers in ELF and in PE headers.
var (
	elfMachines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}
	peMachines  = map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}
)
