// Package agreed is what the machine tests and their guest agree on.
package agreed

import (
	"fmt"
	"strings"
)

// Words of the guest's kernel command line.
const (
	Call   = "guest.call"   // =ADDRESS: call it over TCP and say this word
	Reboot = "guest.reboot" // at the end, instead of powering off
)

const (
	Sector = 512
	// WritableSize is that of the second disk, in bytes.
	WritableSize = 1 << 20
)

// Progress is what the guest writes to /dev/hvc0: more than any buffer on its way holds.
func Progress() string {
	var b strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&b, "step %d of a solve, of which the host hears\n", i)
	}
	return b.String()
}
