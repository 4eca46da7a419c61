package manifest

import (
	"strings"
	"testing"
)

func TestCheckMemory(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		memory, unpacked int64
		want             string
	}{
		{1, 0, ""}, {128, 32 * mb, ""},
		{128, 32*mb + 1, "memory_mb = 128: the initramfs takes 33 MiB unpacked, for which the kernel needs a machine of 130 MiB"},
		{2048, 5000 * mb, "set memory_mb to 10064 or more"},
	} {
		err := checkMemory(c.memory, c.unpacked)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d, %d: %v, want %q", c.memory, c.unpacked, err, c.want)
		}
	}
}
