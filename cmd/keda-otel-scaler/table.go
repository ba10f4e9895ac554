package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/prometheus/common/model"
)

// table prints a result for people, with a curve of each series of a range if
// drawn.
func table(w io.Writer, drawn bool, kind model.ValueType, result json.RawMessage) error {
	var err error
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	switch kind {
	case model.ValVector:
		var vector model.Vector
		if err = json.Unmarshal(result, &vector); err == nil {
			vectorTable(tab, vector)
		}
	case model.ValMatrix:
		var matrix model.Matrix
		if err = json.Unmarshal(result, &matrix); err == nil {
			matrixTable(tab, drawn, matrix)
		}
	default: // a scalar or a string: [time, "value"]
		var pair [2]any
		if err = json.Unmarshal(result, &pair); err == nil {
			_, _ = fmt.Fprintln(tab, pair[1])
		}
	}
	if err != nil {
		return fmt.Errorf("the server's %s can't be read: %w", kind, err)
	}
	return tab.Flush()
}

// A tabwriter keeps its first error for Flush.

func vectorTable(w io.Writer, vector model.Vector) {
	if len(vector) == 0 {
		_, _ = fmt.Fprintln(w, "no series")
		return
	}
	_, _ = fmt.Fprintln(w, "SERIES\tVALUE")
	for _, s := range vector {
		value := s.Value.String()
		if s.Histogram != nil {
			value = ofHistogram(s.Histogram)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\n", s.Metric, value)
	}
}

func ofHistogram(h *model.SampleHistogram) string {
	return fmt.Sprintf("count %v, sum %v", h.Count, h.Sum)
}

func matrixTable(w io.Writer, drawn bool, matrix model.Matrix) {
	if len(matrix) == 0 {
		_, _ = fmt.Fprintln(w, "no series")
		return
	}
	from, to := model.Latest, model.Earliest
	for _, s := range matrix {
		if n := len(s.Values); n > 0 {
			from, to = min(from, s.Values[0].Timestamp), max(to, s.Values[n-1].Timestamp)
		}
	}
	curve := ""
	if drawn {
		curve = "\tCURVE"
	}
	_, _ = fmt.Fprintln(w, "SERIES\tLAST\tMIN\tMAX"+curve)
	for _, s := range matrix {
		if len(s.Values) == 0 { // histograms only
			_, _ = fmt.Fprintf(w, "%s\t%s\n", s.Metric, ofHistogram(s.Histograms[len(s.Histograms)-1].Histogram))
			continue
		}
		least, most := s.Values[0].Value, s.Values[0].Value
		for _, p := range s.Values {
			least, most = min(least, p.Value), max(most, p.Value)
		}
		if drawn {
			curve = "\t" + sparkline(s.Values, from, to)
		}
		_, _ = fmt.Fprintf(w, "%s\t%v\t%v\t%v%s\n", s.Metric, s.Values[len(s.Values)-1].Value, least, most, curve)
	}
}

var bars = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the values between two times, from 0 or below to their
// largest. What shares a column is drawn by its largest, since peaks are what
// one looks for; a time without a sample stays empty.
func sparkline(values []model.SamplePair, from, to model.Time) string {
	const columns = points + 1
	line := []rune(strings.Repeat(" ", columns))
	column := make([]float64, columns)
	low, high := 0.0, 0.0
	for i := range column {
		column[i] = math.Inf(-1)
	}
	for _, p := range values {
		v := float64(p.Value)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		low, high = min(low, v), max(high, v)
		i := int64(p.Timestamp-from) * (columns - 1) / max(int64(to-from), 1)
		column[i] = max(column[i], v)
	}
	for i, v := range column {
		if !math.IsInf(v, -1) {
			line[i] = bars[int((v-low)/max(high-low, math.SmallestNonzeroFloat64)*float64(len(bars)-1)+0.5)]
		}
	}
	return strings.TrimRight(string(line), " ")
}
