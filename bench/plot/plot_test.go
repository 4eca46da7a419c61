package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// elements parses a drawing and counts its elements.
func elements(t *testing.T, svg []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

func TestLines(t *testing.T) {
	svg := Lines("a < b", "images", "s", []Line{{"cold & warm", [][2]float64{{25, 1}, {200, 8}}}, {"flat", [][2]float64{{25, 2}, {200, 2}}}})
	got := elements(t, svg)
	if got["circle"] != 4 || got["polyline"] != 2 {
		t.Errorf("got %v in\n%s", got, svg)
	}
	// The axes end at 200 and at 8: the last point of the first line is in the corner.
	if want := `points="131.2,293.8 560.0,40.0"`; !strings.Contains(string(svg), want) {
		t.Errorf("no %s in\n%s", want, svg)
	}
}

func TestBars(t *testing.T) {
	svg := Bars("times", []Bar{{"own", 1, "1 s", true}, {"peer", 2, "2 s", false}})
	if got := elements(t, svg); got["rect"] != 3 {
		t.Errorf("got %v in\n%s", got, svg)
	}
	if want := `width="300.0" height="20" fill="#9a9a9a"`; !strings.Contains(string(svg), want) {
		t.Errorf("the longest bar is not as long as there is place: no %s in\n%s", want, svg)
	}
}

func TestStep(t *testing.T) {
	for largest, want := range map[float64]float64{200: 50, 8: 2, 0.9: 0.2, 1: 0.2, 39: 5, 410: 100, 0: 1} {
		if got := step(largest); got != want {
			t.Errorf("of %v: got %v, want %v", largest, got, want)
		}
	}
}
