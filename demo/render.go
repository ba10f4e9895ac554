package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// plainLine is a frame as key=value, for a file or a pipe.
func plainLine(f frame) string {
	answer := fmt.Sprintf("value=%s target=%s active=%t", number(f.reading.value), number(f.reading.target), f.reading.active)
	if f.hold != nil {
		answer = fmt.Sprintf("hold=%q", f.hold)
	}
	age := "none"
	if f.sampleAge >= 0 {
		age = f.sampleAge.Round(10 * time.Millisecond).String()
	}
	stream := "stream=none"
	if f.stream != nil {
		stream = fmt.Sprintf("stream=%t", f.stream.active)
		if f.stream.latency > 0 {
			stream += " stream_latency=" + f.stream.latency.Round(10*time.Microsecond).String()
		}
	}
	return fmt.Sprintf("t=%ds load=%d %s desired=%d pods=%d sample_age=%s %s",
		int(f.elapsed.Seconds()), f.load, answer, f.desired, len(f.pods), age, stream)
}

// tableLines is a frame as a table of fixed height for as many pods.
func tableLines(f frame, h *history) []string {
	value, active := number(f.reading.value), strconv.FormatBool(f.reading.active)
	if f.hold != nil {
		value, active = "unknown: replicas are held", "unknown"
	}
	age := "none yet"
	if f.sampleAge >= 0 {
		age = f.sampleAge.Round(10*time.Millisecond).String() + " old"
	}
	stream := "none yet"
	if f.stream != nil {
		stream = fmt.Sprintf("active=%t", f.stream.active)
		if f.stream.latency > 0 {
			stream += fmt.Sprintf(", %s after the push that caused it", f.stream.latency.Round(10*time.Microsecond))
		}
	}
	lines := []string{
		"",
		fmt.Sprintf("ScaledObject %s/%s  %s  (Ctrl-C ends the demo)", namespace, deployment, f.elapsed.Truncate(time.Second)),
		"  " + metricQuery,
		"",
		fmt.Sprintf("  %-20s %s", "requests in flight", strconv.Itoa(f.load)),
		fmt.Sprintf("  %-20s %-8s %s", "value", value, sparkline(h.values)),
		fmt.Sprintf("  %-20s %s", "target", number(f.reading.target)),
		fmt.Sprintf("  %-20s %s", "active", active),
		fmt.Sprintf("  %-20s %-8d %s", "desired replicas", f.desired, sparkline(h.desired)),
		fmt.Sprintf("  %-20s %s", "newest sample", age),
		fmt.Sprintf("  %-20s %s", "last stream message", stream),
		"",
		fmt.Sprintf("  %-46s %7s %7s", fmt.Sprintf("PODS (%d)", len(f.pods)), "RUNNING", "WAITING"),
	}
	for _, p := range f.pods {
		lines = append(lines, fmt.Sprintf("  %-46s %7d %7d", p.name, p.running, p.waiting))
	}
	if f.hold != nil {
		lines = append(lines, "", "  "+f.hold.Error())
	}
	return lines
}

// history is the last minute, for the sparklines.
type history struct{ values, desired []float64 }

const historyLength = 60

func (h *history) add(f frame) {
	h.desired = latest(append(h.desired, float64(f.desired)))
	if f.hold == nil {
		h.values = latest(append(h.values, f.reading.value))
	}
}

func latest(values []float64) []float64 {
	return values[max(0, len(values)-historyLength):]
}

// sparkline draws values from zero to the highest among them.
func sparkline(values []float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	var highest float64
	for _, v := range values {
		highest = max(highest, v)
	}
	var b strings.Builder
	for _, v := range values {
		level := 0
		if highest > 0 {
			level = int(v / highest * float64(len(levels)-1))
		}
		b.WriteRune(levels[level])
	}
	return b.String()
}

// number writes a quantity as KEDA keeps it: thousandths, no idle zeros.
func number(v float64) string {
	text := strings.TrimRight(strconv.FormatFloat(v, 'f', 3, 64), "0")
	return strings.TrimSuffix(text, ".")
}
