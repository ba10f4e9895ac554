package timeline

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The picture's size and its two panels, in pixels: load and value above,
// replicas below, on the same time.
const (
	width, height = 860, 420
	left, right   = 56, 840
	top1, bottom1 = 56, 206
	top2, bottom2 = 236, 376
)

const style = `text{font:12px system-ui,sans-serif;fill:#444}.title{font-size:15px;font-weight:600;fill:#111}` +
	`.axis{stroke:#ccc}.mark{stroke:#bbb;stroke-dasharray:3 3}path{fill:none;stroke-width:2}` +
	`.load{stroke:#999;stroke-dasharray:5 3}.value{stroke:#0b6bcb}.desired{stroke:#d97706;stroke-dasharray:5 3}.replicas{stroke:#15803d}` +
	`.ready{stroke:#15803d;stroke-width:6;opacity:.25}`

// SVG draws the line on white, since a README may be read on black.
func (l Line) SVG() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(l.Title))
	fmt.Fprintf(&b, "\n<style>%s</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", style)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="24">%s</text>`+"\n", left, html.EscapeString(l.Title))

	end := 1.0
	var most, pods float64 = 1, 1
	for _, s := range l.Samples {
		end = math.Max(end, s.At.Seconds())
		most = math.Max(most, s.Load)
		if !math.IsNaN(s.Value) {
			most = math.Max(most, s.Value)
		}
		pods = math.Max(pods, float64(max(s.Desired, s.Replicas, s.Ready)))
	}
	x := func(seconds float64) float64 { return left + seconds/end*(right-left) }
	upper := panel{&b, top1, bottom1, most * 1.1}
	lower := panel{&b, top2, bottom2, pods + 0.5}
	upper.axis(l.Unit)
	lower.axis("replicas")
	for s, step := 0.0, tick(end/8); s <= end; s += step {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%g s</text>`+"\n", x(s), bottom2+18, s)
	}
	for i, m := range l.Marks {
		at := x(m.At.Seconds())
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at, at, top1-4, bottom2)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", at+3, top1+12+14*(i%3), html.EscapeString(m.Text))
	}
	for _, c := range []struct {
		panel panel
		class string
		of    func(Sample) float64
	}{
		{upper, "load", func(s Sample) float64 { return s.Load }},
		{upper, "value", func(s Sample) float64 { return s.Value }},
		{lower, "ready", func(s Sample) float64 { return float64(s.Ready) }},
		{lower, "desired", func(s Sample) float64 { return float64(s.Desired) }},
		{lower, "replicas", func(s Sample) float64 { return float64(s.Replicas) }},
	} {
		c.panel.steps(c.class, l.Samples, x, c.of)
	}
	legend(&b, top1-12, "load", "value")
	legend(&b, top2-12, "desired", "replicas", "ready")
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// panel is a graph whose lower end is zero.
type panel struct {
	b           *strings.Builder
	top, bottom float64
	most        float64
}

func (p panel) y(v float64) float64 { return p.bottom - v/p.most*(p.bottom-p.top) }

func (p panel) axis(unit string) {
	for v, step := 0.0, math.Max(1, tick(p.most/4)); v <= p.most; v += step {
		fmt.Fprintf(p.b, `<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			left, right, p.y(v), p.y(v), left-8, p.y(v)+4, v)
	}
	fmt.Fprintf(p.b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", right, p.top-12, html.EscapeString(unit))
}

// steps draws what holds until the next sample says otherwise, with gaps where
// there was no answer.
func (p panel) steps(class string, samples []Sample, x func(float64) float64, of func(Sample) float64) {
	var d strings.Builder
	last := math.NaN()
	for i, s := range samples {
		v, at := of(s), x(s.At.Seconds())
		switch {
		case math.IsNaN(v):
			if !math.IsNaN(last) {
				fmt.Fprintf(&d, "H%.1f", at)
			}
		case math.IsNaN(last):
			fmt.Fprintf(&d, "M%.1f %.1f", at, p.y(v))
		case v != last || i == len(samples)-1:
			fmt.Fprintf(&d, "H%.1fV%.1f", at, p.y(v))
		}
		last = v
	}
	fmt.Fprintf(p.b, `<path class="%s" d="%s"/>`+"\n", class, &d)
}

func legend(b *strings.Builder, y int, names ...string) {
	for i, name := range names {
		at := left + 90*i
		fmt.Fprintf(b, `<path class="%s" d="M%d %dh24"/><text x="%d" y="%d">%s</text>`+"\n", name, at, y-4, at+30, y, name)
	}
}

// tick is the round number that is at least v: 1, 2 or 5 and zeros.
func tick(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(math.Max(v, 1e-3))))
	for _, step := range []float64{1, 2, 5} {
		if step*power >= v {
			return step * power
		}
	}
	return 10 * power
}
