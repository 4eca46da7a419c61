// Package plot draws lines and bars as SVG: all that a benchmark's page needs, without a library. A library for plots would
// bring fonts and rasters, and be in the go.mod that who builds Fledge's tools reads.
//
// The same figures give the same bytes.
package plot

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Line is a series of points that are joined, in order of X.
type Line struct {
	Name   string
	Points [][2]float64 // X and Y
}

// Bar is a figure with a name.
type Bar struct {
	Name  string
	Value float64
	Label string // behind the bar
	Own   bool   // drawn in the first colour, the others in grey
}

// Sizes of a drawing, in pixels.
const (
	width, height            = 760, 380
	left, right, top, bottom = 70, 200, 40, 50
	barHeight, barGap        = 20, 8
	barNames, barLabels      = 330, 130
)

// colors tell series apart for those who see few colours, too (Okabe and Ito).
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}

const grey = "#9a9a9a"

type drawing struct{ strings.Builder }

func begin(width, height int, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height)
	fmt.Fprintf(d, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", html.EscapeString(title))
	d.text(10, 22, "start", "#000", title)
	return d
}

func (d *drawing) end() []byte {
	d.WriteString("</svg>\n")
	return []byte(d.String())
}

func (d *drawing) text(x, y float64, anchor, color, text string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, color, html.EscapeString(text))
}

func (d *drawing) line(x1, y1, x2, y2 float64, color string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, color)
}

// Lines draws lines over common axes, which begin at 0.
func Lines(title, xAxis, yAxis string, lines []Line) []byte {
	xMax, yMax := 0.0, 0.0
	for _, l := range lines {
		for _, p := range l.Points {
			xMax, yMax = max(xMax, p[0]), max(yMax, p[1])
		}
	}
	xStep, yStep := step(xMax), step(yMax)
	xTop, yTop := math.Ceil(xMax/xStep)*xStep, math.Ceil(yMax/yStep)*yStep
	x := func(v float64) float64 { return left + v/xTop*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - v/yTop*(height-top-bottom) }
	d := begin(width, height, title)
	for i := 0.0; i*xStep <= xTop*1.0001; i++ {
		d.line(x(i*xStep), y(0), x(i*xStep), y(0)+5, "#000")
		d.text(x(i*xStep), y(0)+18, "middle", "#000", number(i*xStep))
	}
	for i := 0.0; i*yStep <= yTop*1.0001; i++ {
		d.line(x(0), y(i*yStep), x(xTop), y(i*yStep), "#ddd")
		d.text(x(0)-8, y(i*yStep)+4, "end", "#000", number(i*yStep))
	}
	d.line(x(0), y(0), x(xTop), y(0), "#000")
	d.text(x(xTop/2), height-10, "middle", "#000", xAxis)
	fmt.Fprintf(d, `<text transform="translate(16 %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n", y(yTop/2), html.EscapeString(yAxis))
	for i, l := range lines {
		color := colors[i%len(colors)]
		var points []string
		for _, p := range l.Points {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(p[0]), y(p[1])))
			fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x(p[0]), y(p[1]), color)
		}
		fmt.Fprintf(d, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color)
		legend := float64(top + 10 + 20*i)
		fmt.Fprintf(d, `<rect x="%d" y="%.1f" width="12" height="12" fill="%s"/>`+"\n", width-right+15, legend-10, color)
		d.text(width-right+33, legend, "start", "#000", l.Name)
	}
	return d.end()
}

// Bars draws horizontal bars, from the top down.
func Bars(title string, bars []Bar) []byte {
	longest := 0.0
	for _, b := range bars {
		longest = max(longest, b.Value)
	}
	d := begin(width, top+len(bars)*(barHeight+barGap)+10, title)
	for i, b := range bars {
		y, color := float64(top+i*(barHeight+barGap)), grey
		if b.Own {
			color = colors[0]
		}
		length := b.Value / longest * (width - barNames - barLabels)
		d.text(barNames-8, y+14, "end", "#000", b.Name)
		fmt.Fprintf(d, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n", barNames, y, length, barHeight, color)
		d.text(barNames+length+6, y+14, "start", "#000", b.Label)
	}
	return d.end()
}

// step is the distance of an axis's marks: 1, 2 or 5 times a power of ten, for four to ten marks.
func step(largest float64) float64 {
	if largest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(largest/4)))
	for _, factor := range []float64{5, 2} {
		if largest/(factor*power) >= 4 {
			return factor * power
		}
	}
	return power
}

// number is short: marks are sums of steps, with their rounding errors.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
