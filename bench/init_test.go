package main

import (
	"strings"
	"testing"
	"time"
)

func TestReadStamp(t *testing.T) {
	s, err := readStamp("[    0.4] PCI: none\r\nstamp: 26328001 8\r\n[    2.0] reboot: Power down\r\n")
	if err != nil || s.took != 26328001*time.Nanosecond || s.mounts != 8 {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := readStamp("stamp: cannot become /init2\n"); err == nil || !strings.Contains(err.Error(), "cannot become") {
		t.Errorf("error %v", err)
	}
}

func TestWriteInits(t *testing.T) {
	var b strings.Builder
	writeInits(&b, "here", []initTask{
		{name: "a", size: 7, took: []time.Duration{3e6, 1e6, 9e6}}, {name: "b", size: 5, took: []time.Duration{2e6, 2e6, 4e6}},
	})
	for _, want := range []string{"| a | 7 | 3.000 | 1.000 |", "| b | 5 | 2.000 | 2.000 |", "of an initramfs, here", "Difference +1.000 ms, ratio 1.500."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, &b)
		}
	}
}
