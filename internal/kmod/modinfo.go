package kmod

import (
	"debug/elf"
	"errors"
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/internal/elfinfo"
)

type modinfo struct {
	depends []string
	release string // first word of vermagic
	arch    string
}

// parseModinfo reads the .modinfo section of a module: "key=value" strings, each ended by a NUL byte.
func parseModinfo(data []byte) (modinfo, error) {
	f, err := elfinfo.Open(data)
	if err != nil {
		return modinfo{}, fmt.Errorf("not a kernel module: %w", err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return modinfo{}, errors.New("not a kernel module: no .modinfo section")
	}
	b, err := elfinfo.Data(section)
	if err != nil {
		return modinfo{}, fmt.Errorf("not a kernel module: .modinfo: %w", err)
	}
	info := modinfo{arch: ArchOf(f.Machine)}
	for entry := range strings.SplitSeq(string(b), "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch {
		case key == "depends" && value != "":
			info.depends = append(info.depends, strings.Split(value, ",")...)
		case key == "vermagic":
			info.release, _, _ = strings.Cut(value, " ")
		}
	}
	return info, nil
}

// ArchOf is GOARCH's name of the machine, or the ELF name for those that Fledge does not boot.
func ArchOf(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	}
	return m.String()
}
