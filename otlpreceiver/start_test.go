package otlpreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// since gives points the time at which they were zero, in seconds after start.
func since(s float64, ps ...*mpb.NumberDataPoint) []*mpb.NumberDataPoint {
	for _, p := range ps {
		p.StartTimeUnixNano = at(s)
	}
	return ps
}

// TestStartTimesSayWhereCountersBegan: new and known series alike, of counters
// and nothing else.
func TestStartTimesSayWhereCountersBegan(t *testing.T) {
	for name, pdataOnly := range map[string]bool{"hot": false, "pdata": true} {
		t.Run(name, func(t *testing.T) { startTimes(t, pdataOnly) })
	}
}

func startTimes(t *testing.T, pdataOnly bool) {
	h := serve(t, config{})
	h.receiver.pdataOnly = pdataOnly
	push := func(s, began, v float64) {
		t.Helper()
		b := buckets(s, []float64{1}, []uint64{uint64(v), 1}, v)
		e := expPoint(s, 0, 0, []uint64{uint64(v)}, v)
		q := summaryPoint(s, uint64(v), v, 0.5, 3)
		b.StartTimeUnixNano, e.StartTimeUnixNano, q.StartTimeUnixNano = at(began), at(began), at(began)
		h.sendOK(
			sumOf("counter", cumulative, true, since(began, double(s, v))...),
			sumOf("updown", cumulative, false, since(began, double(s, v))...),
			gaugeOf("gauge", since(began, double(s, v))...),
			histogramOf("h", cumulative, b), exponentialOf("e", cumulative, e), summaryOf("q", q))
	}
	h.clock.advance(10 * time.Second)
	push(10, 4, 1)
	h.clock.advance(5 * time.Second)
	push(15, 4, 2)
	h.clock.advance(5 * time.Second)
	push(20, 17, 3) // restarted, and has counted more than before
	require.Equal(t, []string{"counter{} 0@4 1@10 2@15 0@17 3@20"}, h.held("counter"))
	require.Equal(t, []string{"updown{} 1@10 2@15 3@20"}, h.held("updown"))
	require.Equal(t, []string{"gauge{} 1@10 2@15 3@20"}, h.held("gauge"))
	require.Equal(t, []string{`h_bucket{le="+Inf"} 0@4 2@10 3@15 0@17 4@20`, `h_bucket{le="1"} 0@4 1@10 2@15 0@17 3@20`}, h.held("h_bucket"))
	require.Equal(t, []string{"h_count{} 0@4 2@10 3@15 0@17 4@20"}, h.held("h_count"))
	require.Equal(t, []string{"h_sum{} 0@4 1@10 2@15 0@17 3@20"}, h.held("h_sum"))
	require.Regexp(t, `@4 .*@10 .*@15 \{count:0, sum:0\}@17 .*@20$`, h.held("e")[0])
	require.Equal(t, []string{`q{pod="a", quantile="0.5"} 3@10 3@15 3@20`}, h.held("q"))
	require.Equal(t, []string{`q_count{pod="a"} 0@4 1@10 2@15 0@17 3@20`}, h.held("q_count"))
}

// TestAStartThatIsNotKnown is the time of the first value, which a Prometheus
// receiver scraped of a counter that had counted for long.
func TestAStartThatIsNotKnown(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(sumOf("c", cumulative, true, since(10, double(10, 1000))...))
	h.clock.advance(5 * time.Second)
	h.sendOK(sumOf("c", cumulative, true, since(10, double(15, 1010))...))
	require.Equal(t, []string{"c{} 1000@10 1010@15"}, h.held("c"))

	// The scaler was restarted, and the first value is not there any more.
	h = serve(t, config{})
	h.clock.advance(5 * time.Second)
	h.sendOK(sumOf("c", cumulative, true, since(-5, double(5, 1010))...))
	require.Equal(t, []string{"c{} 1010@5"}, h.held("c"))
}

func TestDeltasCountFromTheirFirstStart(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(31 * time.Second)
	h.sendOK(sumOf("d", delta, true, since(10, double(20, 1))...))
	h.sendOK(sumOf("d", delta, true, since(20, double(25, 2))...), histogramOf("h", delta, buckets(20, nil, []uint64{3}, 1)))
	h.sendOK(sumOf("d", delta, true, since(28, double(30, 4))...))
	h.sendOK(sumOf("d", delta, true, since(5, double(31, 8))...))
	require.Equal(t, []string{"d{} 0@10 1@20 3@25 7@30"}, h.held("d"))
}
