// Package host tells what this machine offers to virtual machines.
package host

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// NoKVM says why KVM is out of the question for guests of arch (a GOARCH), or nothing when it is worth a try.
func NoKVM(arch string) string {
	if arch != runtime.GOARCH {
		return "the guest is " + arch + ", this machine is " + runtime.GOARCH
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	f.Close()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil && arch == "amd64" && !virtualizes(string(info)) {
		return "the processor has neither vmx nor svm, so /dev/kvm runs special kernels only"
	}
	return ""
}

// virtualizes tells whether an x86 processor runs guests by itself. A KVM without that (PVM) needs a kernel made for it.
func virtualizes(cpuinfo string) bool {
	flags := strings.Fields(cpuValue(cpuinfo, "flags"))
	return slices.Contains(flags, "vmx") || slices.Contains(flags, "svm")
}

// KHz is the clock of an x86 Linux host in kHz, "" when it is not to be had.
func KHz() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	return kHz(string(info))
}

func kHz(cpuinfo string) string {
	mhz, err := strconv.ParseFloat(cpuValue(cpuinfo, "cpu MHz"), 64)
	if err != nil || mhz < 1 {
		return ""
	}
	return strconv.FormatFloat(mhz*1000, 'f', 0, 64)
}

// cpuValue is a value of the first processor in /proc/cpuinfo.
func cpuValue(cpuinfo, key string) string {
	for line := range strings.Lines(cpuinfo) {
		k, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(k) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
