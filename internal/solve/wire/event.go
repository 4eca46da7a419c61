package wire

import (
	"encoding/json"
	"fmt"
)

// Kinds of events.
const (
	EventStart  = "start"  // a step started
	EventDone   = "done"   // a step ended; Cached or Error tell how
	EventLog    = "log"    // a step wrote a line
	EventStatus = "status" // a part of a step moves on: exporting, transferring the context
	EventWarn   = "warn"   // the Dockerfile frontend has a remark
	EventBoot   = "boot"   // the guest got to a point of its own work, named by Text
)

// MaxEvent is the longest line on the progress console, in bytes, without its line feed.
const MaxEvent = 16 << 10

// Event is a line on the progress console, as compact JSON.
type Event struct {
	Kind    string  `json:"k"`
	Step    int     `json:"v,omitempty"`   // number of the step, from 1, in order of appearance
	Text    string  `json:"t,omitempty"`   // name, line, remark, or the status's name; may hold any control character
	Stream  int     `json:"s,omitempty"`   // with EventLog: 1 standard output, 2 standard error
	Error   string  `json:"e,omitempty"`   // with EventDone
	Cached  bool    `json:"c,omitempty"`   // with EventDone
	Current int64   `json:"n,omitempty"`   // with EventStatus: bytes or pieces done
	Total   int64   `json:"of,omitempty"`  // with EventStatus: of so many, 0 when not known
	Seconds float64 `json:"sec,omitempty"` // with EventDone: how long it took; with EventBoot: since the machine started
}

// Encode renders e as one line with its line feed. Texts are cut so that it stays below MaxEvent.
func (e Event) Encode() []byte {
	for limit := MaxEvent / 2; ; limit /= 2 {
		e.Text, e.Error = clip(e.Text, limit), clip(e.Error, limit)
		b, err := json.Marshal(e)
		if err != nil { // a number that JSON does not have
			e.Seconds = 0
			continue
		}
		if len(b) <= MaxEvent {
			return append(b, '\n')
		}
	}
}

// DecodeEvent reads a line, with or without its line feed.
func DecodeEvent(line []byte) (Event, error) {
	var e Event
	if len(line) > MaxEvent+1 {
		return e, fmt.Errorf("progress: a line of %d bytes, %d may be", len(line), MaxEvent)
	}
	if err := decodeJSON(line, &e); err != nil {
		return Event{}, fmt.Errorf("progress: %w", err)
	}
	return e, nil
}
