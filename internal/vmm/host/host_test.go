package host

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestCPUInfo(t *testing.T) {
	const lines = "processor\t: 0\nflags\t\t: fpu %s lm\ncpu MHz\t\t: %s\n\nprocessor\t: 1\nflags\t\t: vmx\n"
	for _, tt := range []struct {
		flag, mhz, kHz string
		virtualizes    bool
	}{
		{"svm", "2445.426", "2445426", true},
		{"vmx", "3000", "3000000", true},
		{"hypervisor vmxx", "0.000", "", false},
		{"", "unknown", "", false},
	} {
		info := fmt.Sprintf(lines, tt.flag, tt.mhz)
		if got := virtualizes(info); got != tt.virtualizes {
			t.Errorf("flag %q: virtualizes %v", tt.flag, got)
		}
		if got := kHz(info); got != tt.kHz {
			t.Errorf("%s MHz: %q kHz, want %q", tt.mhz, got, tt.kHz)
		}
	}
	if kHz("") != "" || virtualizes("BogoMIPS : 50.00\n") {
		t.Error("something was found in a file that has nothing")
	}
}

func TestNoKVM(t *testing.T) {
	if why, want := NoKVM("riscv64"), "the guest is riscv64, this machine is "+runtime.GOARCH; why != want {
		t.Errorf("got %q, want %q", why, want)
	}
	if why := NoKVM(runtime.GOARCH); strings.HasPrefix(why, "the guest is") {
		t.Errorf("this machine's own guests: %q", why)
	}
}
