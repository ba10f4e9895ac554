package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// curve is a metric of the product's in the course of a run.
type curve struct {
	name, metric string
	scale        float64 // what one unit of the curve is in the metric's
	unit         string
	grows        float64 // how much the end may be above the beginning, as a share
	more         float64 // and in the curve's units
	values       []float64
}

// resident is the curve that is judged without the race detector alone.
const resident = "resident memory"

// curves are sampled together.
type curves struct {
	mu  sync.Mutex
	at  []time.Duration
	all []*curve
	t0  time.Time
}

// sample reads /metrics, every tenth time after a garbage collection.
func (c *curves) sample(t *testing.T, s *soak) {
	if c.all == nil {
		c.t0 = time.Now()
		c.all = []*curve{
			{name: "heap after a collection", metric: "go_memstats_heap_alloc_bytes", scale: 1 << 20, unit: "MiB", grows: 0.1, more: 1},
			{name: resident, metric: "process_resident_memory_bytes", scale: 1 << 20, unit: "MiB", grows: 0.15, more: 8},
			{name: "goroutines", metric: "go_goroutines", scale: 1, grows: 0.1, more: 10},
			{name: "open files", metric: "process_open_fds", scale: 1, grows: 0.1, more: 5},
			{name: "series", metric: "keda_otel_scaler_series", scale: 1, grows: 0.5, more: 100},
		}
	}
	if _, err := c.fetch(s, "/debug/pprof/heap?gc=1"); err != nil {
		c.failed(t, s, err)
		return
	}
	text, err := c.fetch(s, "/metrics")
	if err != nil {
		c.failed(t, s, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Since(c.t0))
	for _, one := range c.all {
		var v float64
		if _, rest, ok := strings.Cut(text, "\n"+one.metric+" "); ok {
			_, err = fmt.Sscan(rest, &v)
		} else {
			err = fmt.Errorf("no %s", one.metric)
		}
		if err != nil {
			t.Error(err)
		}
		one.values = append(one.values, v/one.scale)
	}
}

func (c *curves) failed(t *testing.T, s *soak, err error) {
	if s.ctx.Err() == nil {
		t.Error(err)
	}
}

func (c *curves) fetch(s *soak, path string) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.telemetry+path, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// ends returns the medians of the quarter after the warm-up and of the last.
func (c *curve) ends() (begin, end float64) {
	n := len(c.values) / 4
	return median(c.values[n : 2*n]), median(c.values[3*n:])
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// judge fails for what grew.
func (c *curves) judge(t *testing.T) {
	t.Helper()
	for _, one := range c.all {
		if *soakRace && one.name == resident {
			// The race detector keeps 8 bytes for each defer until the goroutine ends
			// (go.dev/doc/articles/race_detector, Runtime Overhead).
			continue
		}
		begin, end := one.ends()
		require.LessOrEqual(t, end, begin*(1+one.grows)+one.more, "%s grew", one.name)
	}
}

// String is a row for each tenth of the run, and the medians.
func (c *curves) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%8s", "")
	for _, one := range c.all {
		fmt.Fprintf(&b, " %28s", strings.TrimSpace(one.name+" "+one.unit))
	}
	row := func(head string, of func(*curve) float64) {
		fmt.Fprintf(&b, "\n%8s", head)
		for _, one := range c.all {
			fmt.Fprintf(&b, " %28.1f", of(one))
		}
	}
	for i := 0; i < len(c.at); i += max(1, len(c.at)/10) {
		row(c.at[i].Round(time.Second).String(), func(one *curve) float64 { return one.values[i] })
	}
	if len(c.at) >= 8 {
		row("2nd 4th", func(one *curve) float64 { begin, _ := one.ends(); return begin })
		row("4th 4th", func(one *curve) float64 { _, end := one.ends(); return end })
	}
	return b.String()
}

// picture draws a panel for each curve.
func (c *curves) picture() []byte {
	const width, panel, left, right = 860, 90, 60, 840
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="soak">`, width, panel*len(c.all)+30)
	b.WriteString("\n<style>text{font:12px system-ui,sans-serif;fill:#444}path{fill:none;stroke:#0b6bcb;stroke-width:1.5}line{stroke:#ccc}</style>\n")
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	whole := max(c.at[len(c.at)-1], time.Second)
	for i, one := range c.all {
		top, bottom := i*panel+24, i*panel+panel-8
		most := slices.Max(one.values)
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%.4g %s</text>`, left, top-8, one.name, right, top-8, most, one.unit)
		fmt.Fprintf(&b, "\n"+`<line x1="%d" x2="%d" y1="%d" y2="%d"/><path d="`, left, right, bottom, bottom)
		for j, v := range one.values {
			x := left + float64(right-left)*float64(c.at[j])/float64(whole)
			y := float64(bottom) - v/max(most, 1)*float64(bottom-top)
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(j, 1)], x, y)
		}
		b.WriteString("\"/>\n")
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">0</text><text x="%d" y="%d" text-anchor="end">%s</text></svg>`+"\n",
		left, panel*len(c.all)+16, right, panel*len(c.all)+16, whole.Round(time.Second))
	return b.Bytes()
}
