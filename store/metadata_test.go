package store

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/stretchr/testify/require"
)

func named(name string) labels.Labels { return labels.FromStrings(labels.MetricName, name) }

// TestMetadataGoesWithTheLastSeries: of a family, which may be several names.
func TestMetadataGoesWithTheLastSeries(t *testing.T) {
	s, c := newStore(t, Options{})
	gauge := metadata.Metadata{Type: model.MetricTypeGauge, Unit: "bytes", Help: "what there is"}
	histogram := metadata.Metadata{Type: model.MetricTypeHistogram, Help: "how long"}
	summary := metadata.Metadata{Type: model.MetricTypeSummary}
	push(t, s, labels.FromStrings(labels.MetricName, "m", "pod", "a"), 0, 1)
	push(t, s, labels.FromStrings(labels.MetricName, "m", "pod", "b"), 0, 1)
	for _, name := range []string{"h_bucket", "h_sum", "h_count", "q_count", "native"} {
		push(t, s, named(name), 0, 1)
	}
	a := s.Appender()
	a.Describe("m", gauge)
	a.Describe("h", histogram)
	a.Describe("q", summary)
	a.Describe("native", histogram)
	a.Describe("h_x", gauge)     // there is no such series
	a.Describe("h_bucke", gauge) // nor such
	require.Equal(t, map[string]metadata.Metadata{"m": gauge, "h": histogram, "q": summary, "native": histogram}, s.Metadata(""))
	require.Equal(t, map[string]metadata.Metadata{"h": histogram}, s.Metadata("h"))
	require.Empty(t, s.Metadata("h_bucket"))

	c.at(100)
	push(t, s, labels.FromStrings(labels.MetricName, "m", "pod", "b"), 100, 1)
	push(t, s, named("h_count"), 100, 1)
	c.at(130)
	s.Sweep() // one of two, and not the count
	require.Equal(t, map[string]metadata.Metadata{"m": gauge, "h": histogram}, s.Metadata(""))
	c.at(500)
	s.Sweep()
	require.Empty(t, s.Metadata(""))
	require.Zero(t, s.SeriesCount())
}

func TestWhatIsSaidLastOfAMetricStands(t *testing.T) {
	s, _ := newStore(t, Options{})
	push(t, s, m, 0, 1)
	a := s.Appender()
	for _, help := range []string{"old", "new", "new", ""} {
		said := metadata.Metadata{Type: model.MetricTypeCounter, Help: help}
		a.Describe("m", said)
		require.Equal(t, map[string]metadata.Metadata{"m": said}, s.Metadata("m"))
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { a.Describe("m", metadata.Metadata{Type: model.MetricTypeCounter}) }), "said again")
}

func TestMetadataIsBounded(t *testing.T) {
	s, _ := newStore(t, Options{})
	a := s.Appender()
	for i := range maxDescribed + 1 {
		name := fmt.Sprint("m", i)
		push(t, s, named(name), 0, 1)
		a.Describe(name, metadata.Metadata{Unit: strings.Repeat("u", maxUnit+1), Help: "x" + strings.Repeat("é", maxHelp)})
	}
	all := s.Metadata("")
	require.Len(t, all, maxDescribed)
	require.Equal(t, maxUnit, len(all["m0"].Unit))
	require.Equal(t, maxHelp-1, len(all["m0"].Help), "whole letters")
	require.True(t, utf8.ValidString(all["m0"].Help))
	// One that is there may still change.
	a.Describe("m0", metadata.Metadata{Help: "short"})
	require.Equal(t, "short", s.Metadata("m0")["m0"].Help)
}
