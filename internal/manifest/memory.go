package manifest

import "fmt"

// kernelMB is what the kernel and its tables take of a small machine's memory, in MiB, about.
const kernelMB = 64

// checkMemory makes sure that an initramfs which takes unpacked bytes of memory can be unpacked: the kernel does that into
// a tmpfs, which may take half of the memory that it found at boot (Documentation/filesystems/tmpfs.rst, option size), and
// goes on with what it has where that is too little.
func checkMemory(memoryMB, unpacked int64) error {
	const mb = 1 << 20
	need := 2*((unpacked+mb-1)/mb) + kernelMB
	if unpacked == 0 || memoryMB >= need {
		return nil
	}
	return fmt.Errorf("resources.memory_mb = %d: the initramfs takes %d MiB unpacked, for which the kernel needs a machine "+
		"of %d MiB: it unpacks into half of its memory; set memory_mb to %d or more, put less into the initramfs, or boot a "+
		"squashfs image", memoryMB, (unpacked+mb-1)/mb, need, need)
}
