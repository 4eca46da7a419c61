package cloudhypervisor

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// event is one of the event monitor's JSON objects, which follow each other with white space between
// (docs/event-monitor.md in Cloud Hypervisor's sources). The last ones before its end may be missing.
type event struct {
	Source string `json:"source"`
	Event  string `json:"event"`
}

// history is what the events tell.
type history struct {
	mu      sync.Mutex
	failure string // what the guest did instead of powering off, "" if nothing
	err     error  // of reading the events
}

// follow reads events to their end. A guest that reboots or panics ends the machine by end: Cloud Hypervisor would start
// it again in place.
func (h *history) follow(r io.Reader, end func()) {
	for d := json.NewDecoder(r); ; {
		var e event
		if err := d.Decode(&e); err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF { // an event of one that was killed may be cut off
				h.mu.Lock()
				h.err = fmt.Errorf("read Cloud Hypervisor's events: %w", err)
				h.mu.Unlock()
				end()
			}
			return
		}
		if h.add(e) {
			end()
		}
	}
}

// add tells whether the machine has to end.
func (h *history) add(e event) (end bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.Source + " " + e.Event {
	case "guest panic":
		// The kernel goes on to print why. It reboots then.
		h.failure = "the guest's kernel panicked"
	case "vm rebooting", "vm rebooted":
		if h.failure == "" {
			h.failure = "the guest rebooted instead of powering off, as it does after a kernel panic"
		}
		return true
	}
	return false
}
