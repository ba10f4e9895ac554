package modelserver

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// exposition writes metrics as Python's prometheus_client does, including the
// _created series: samples of the family in OpenMetrics, gauges of their own in
// the older text format.
type exposition struct {
	openMetrics bool
	created     time.Time
	out         bytes.Buffer
}

func (e *exposition) contentType() string {
	if e.openMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

func (e *exposition) finish() []byte {
	if e.openMetrics {
		e.out.WriteString("# EOF\n")
	}
	return e.out.Bytes()
}

func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(&e.out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (e *exposition) sample(name, labels string, value float64) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(&e.out, "%s%s %s\n", name, labels, number(value))
}

func (e *exposition) gauge(name, help, labels string, value float64) {
	e.family(name, "gauge", help)
	e.sample(name, labels, value)
}

// counter writes one sample for each label set; name has no _total.
func (e *exposition) counter(name, help string, labels []string, values []float64) {
	family := name + "_total"
	if e.openMetrics {
		family = name // OpenMetrics keeps the suffix for the samples
	}
	e.family(family, "counter", help)
	for i, l := range labels {
		e.sample(name+"_total", l, values[i])
	}
	e.creation(name, help, labels)
}

func (e *exposition) histogram(name, help, labels string, h *histogram) {
	e.family(name, "histogram", help)
	var exact, whole float64
	for i, n := range h.counts {
		bound := math.Inf(1)
		if i < len(h.bounds) {
			bound = h.bounds[i]
		}
		exact += n
		whole = math.Floor(exact)
		e.sample(name+"_bucket", join(labels, `le="`+number(bound)+`"`), whole)
	}
	e.sample(name+"_count", labels, whole)
	e.sample(name+"_sum", labels, h.sum)
	e.creation(name, help, []string{labels})
}

func (e *exposition) creation(name, help string, labels []string) {
	if e.created.IsZero() {
		return // process metrics are collected, not created
	}
	if !e.openMetrics {
		e.family(name+"_created", "gauge", help)
	}
	for _, l := range labels {
		e.sample(name+"_created", l, seconds(e.created))
	}
}

// number formats as Python's floatToGoString: always with a point.
func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func join(labels ...string) string { return strings.Join(labels, ",") }
