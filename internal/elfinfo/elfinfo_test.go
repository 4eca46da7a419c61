package elfinfo

import (
	"debug/elf"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/kmodtest"
)

// TestRealPrograms reads what every system has: this test's own program, and a dynamic one.
func TestRealPrograms(t *testing.T) {
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	info, ok := Read(own, true)
	if !ok || !info.Executable || info.Machine == elf.EM_NONE {
		t.Errorf("own program: %+v, %v", info, ok)
	}
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skipf("needs a shell: %v", err)
	}
	info, ok = Read(shell, true)
	if !ok || !info.Executable {
		t.Errorf("/bin/sh: %+v, %v", info, ok)
	}
	if info.Loader == "" {
		t.Skip("/bin/sh is a static program")
	}
	if _, err := os.Stat(info.Loader); err != nil {
		t.Errorf("loader: %v", err)
	}
	f, err := elf.Open("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := f.ImportedLibraries()
	if err != nil || len(want) == 0 || !slices.Equal(info.Libraries, want) {
		t.Errorf("libraries %q, want %q (%v)", info.Libraries, want, err)
	}
	if part, ok := Read(shell[:4096], false); !ok || part.Loader != info.Loader || part.Libraries != nil {
		t.Errorf("the first page: %+v, %v", part, ok)
	}
}

func TestParse(t *testing.T) {
	for _, info := range []Info{
		{Machine: elf.EM_AARCH64},
		{Machine: elf.EM_X86_64, Executable: true, Loader: "/lib/ld.so", Libraries: []string{"libc.so.6", "libm.so.6"}},
	} {
		b := info.Append(nil)
		if got, err := Parse(append(b, "more"...)); err != nil || !reflect.DeepEqual(got, info) {
			t.Errorf("%+v, %v; want %+v", got, err, info)
		}
		for i := range b {
			if _, err := Parse(b[:i]); err == nil {
				t.Errorf("no error for the first %d bytes", i)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"), true)
	f.Add(kmodtest.Module("6.1", "virtio"), true)
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		var info Info
		var ok bool
		fuzztest.Limit(t, 32<<20+100*len(b), func() { info, ok = Read(b, whole) })
		if !ok {
			return
		}
		if got, err := Parse(info.Append(nil)); err != nil || got.Machine != info.Machine || got.Loader != info.Loader {
			t.Errorf("%+v, %v; want %+v", got, err, info)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(Info{Loader: "/x", Libraries: []string{"y"}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) { Parse(b) })
}
