//go:build linux

package machine

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Watch looks at memory and at a scratch space while a solve runs: what a failed step took is often free again when the
// failure arrives.
type Watch struct {
	dir   string
	kills int64 // at the start
	stop  chan struct{}
	done  sync.WaitGroup

	mu      sync.Mutex
	minimum int64 // KiB of memory available
	free    int64 // least free bytes of the scratch space
	size    int64
}

// interval is how often a Watch looks.
const interval = 50 * time.Millisecond

// StartWatch watches the machine, and the file system of dir.
func StartWatch(dir string) *Watch {
	w := &Watch{dir: dir, kills: OOMKills(), stop: make(chan struct{}), minimum: 1 << 62, free: 1 << 62}
	w.look()
	w.done.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.look()
			}
		}
	})
	return w
}

func (w *Watch) look() {
	available := MemInfo()["MemAvailable"]
	var st unix.Statfs_t
	err := unix.Statfs(w.dir, &st)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.minimum = min(w.minimum, available)
	if err != nil {
		return
	}
	w.free = min(w.free, int64(st.Bavail)*st.Bsize)
	w.size = int64(st.Blocks) * st.Bsize
}

// Stop ends the watch and tells what it saw.
func (w *Watch) Stop() wire.Memory {
	w.look()
	close(w.stop)
	w.done.Wait()
	m := Memory()
	m.MinAvailable = w.minimum
	if w.size > 0 { // it could be looked at
		m.ScratchUsed = (w.size - w.free) >> 10
	}
	return m
}

// full is the share of the scratch space, as a divisor, below which it counts as full if something found no space.
const full = 20

// Explain changes a failure whose reason is the machine: memory or scratch space that did not suffice.
func (w *Watch) Explain(f *wire.Failure) {
	if kills := OOMKills() - w.kills; kills > 0 && f.Kind != wire.FailDockerfile && f.Kind != wire.FailSource {
		why := OutOfMemory(kills)
		f.Kind, f.Message = why.Kind, f.Message+"\n"+why.Message
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.ToLower(f.Message + "\n" + strings.Join(f.Output, "\n"))
	if strings.Contains(text, "no space left on device") && w.free < w.size/full {
		f.Kind = wire.FailScratch
		f.Message += fmt.Sprintf("\nthe scratch space of the build machine, %d MiB, was full: give the solve more memory, "+
			"or a scratch disk", w.size>>20)
	}
}
