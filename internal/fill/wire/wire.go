// Package wire is what the two halves of a fill agree on: the lines that the guest writes to the progress console.
package wire

import (
	"encoding/json"
	"fmt"
	"io"
)

// MaxLine bounds a line, in bytes: a message, of which JSON may make six bytes for each.
const MaxLine = 64 << 10

// Report is a line: how far the guest is or, the last one, how it ended. It is JSON.
type Report struct {
	Entries int64    `json:"entries,omitempty"` // names written so far
	Bytes   int64    `json:"bytes,omitempty"`   // of file data written so far
	Dropped *Dropped `json:"dropped,omitempty"` // with Done
	Free    int64    `json:"free,omitempty"`    // with Done: bytes that are free in the file system
	Done    bool     `json:"done,omitempty"`    // all is written and on the disk
	Failure string   `json:"failure,omitempty"` // why the guest gave up
	Full    bool     `json:"full,omitempty"`    // with Failure: for want of space
}

// Dropped tells of extended attributes that the file system does not take.
type Dropped struct {
	Count int    `json:"count"`
	Name  string `json:"name"` // the first one
	Path  string `json:"path"` // of the file that has it, quoted as in Go
}

// maxMessage bounds Failure and the strings of Dropped, in bytes.
const maxMessage = 6 << 10

// Write writes the line of r.
func (r Report) Write(w io.Writer) error {
	r.Failure = clip(r.Failure)
	if r.Dropped != nil {
		r.Dropped = &Dropped{r.Dropped.Count, clip(r.Dropped.Name), clip(r.Dropped.Path)}
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

func clip(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	return s
}

// Parse reads a line.
func Parse(line []byte) (r Report, err error) {
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("the guest's report %.100q: %w", line, err)
	}
	return r, nil
}
