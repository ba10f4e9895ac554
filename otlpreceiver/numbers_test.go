package otlpreceiver

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

func integer(s float64, v int64, attrs ...string) *mpb.NumberDataPoint {
	return &mpb.NumberDataPoint{TimeUnixNano: at(s), Attributes: kv(attrs...), Value: &mpb.NumberDataPoint_AsInt{AsInt: v}}
}

func TestGaugeAndCumulativeSumAreStoredAsTheyAre(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(
		gaugeOf("queue", double(1.234, -2.5, "q", "a"), integer(2, 7, "q", "b")),
		sumOf("requests_total", cumulative, true, double(1, 10), double(2, 12), double(3, 1)),
		sumOf("in_flight", cumulative, false, integer(3, -4)),
	)
	require.Equal(t, []string{
		`in_flight{} -4@3`,
		`queue{q="a"} -2.5@1.234`,
		`queue{q="b"} 7@2`,
		`requests_total{} 10@1 12@2 1@3`,
	}, h.held(""))
}

func TestDeltaSumsAccumulate(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(sumOf("up", delta, true, double(1, 10), double(2, 5)), sumOf("updown", delta, false, integer(1, 10), integer(2, -3)))
	h.sendOK(sumOf("up", delta, true, integer(3, 1)))
	require.Equal(t, []string{`updown{} 10@1 7@2`, `up{} 10@1 15@2 16@3`}, h.held(""))
}

func TestRetryOfADeltaRequestDoesNotDouble(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	ms := []*mpb.Metric{
		sumOf("c", delta, true, double(1, 10), double(2, 5)),
		histogramOf("h", delta, buckets(2, []float64{1}, []uint64{3, 4}, 9)),
		exponentialOf("e", delta, expPoint(2, 0, 0, []uint64{1, 2}, 5)),
	}
	h.sendOK(ms...)
	before := h.held("")
	h.sendOK(ms...)
	require.Equal(t, before, h.held(""))
	require.Contains(t, before, "c{} 10@1 15@2")
}

func TestNonFiniteDeltaIsRejectedAndTheTotalGoesOn(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	ps := h.send(sumOf("c", delta, true, double(1, 10), double(2, math.NaN()), double(3, math.Inf(1)), double(4, 1)))
	require.EqualValues(t, 2, ps.GetRejectedDataPoints())
	require.Contains(t, ps.GetErrorMessage(), `metric "c": a delta is NaN or infinite`)
	require.Equal(t, []string{"c{} 10@1 11@4"}, h.held(""))
}

func TestStalenessMarkerEndsASeriesAndIsNotZero(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(
		gaugeOf("g", double(1, 5, "pod", "a"), double(1, 6, "pod", "b")),
		sumOf("c", cumulative, true, double(1, 7)),
		sumOf("d", delta, true, double(1, 8)),
	)
	h.sendOK(
		gaugeOf("g", ended(2, "pod", "a")),
		sumOf("c", cumulative, true, ended(2)),
		sumOf("d", delta, true, ended(2)),
	)
	require.Equal(t, []string{
		`c{} 7@1 stale@2`,
		`d{} 8@1 stale@2`,
		`g{pod="a"} 5@1 stale@2`,
		`g{pod="b"} 6@1`,
	}, h.held(""))
}

func TestStalenessMarkerOfAnUnknownSeriesMakesNone(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(gaugeOf("g", ended(0)), histogramOf("h", cumulative, &mpb.HistogramDataPoint{TimeUnixNano: at(0), Flags: noValue}))
	require.Empty(t, h.held(""))
}

// The flag says that there is no value, whatever the value field says.
func TestFlagWinsOverAValue(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(gaugeOf("g", double(1, 5)))
	p := double(2, 0)
	p.Flags = noValue
	h.sendOK(gaugeOf("g", p))
	require.Equal(t, []string{"g{} 5@1 stale@2"}, h.held(""))
}

func TestStaleNaNValueIsAMarkerAndOtherNaNsAreValues(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	stale := math.Float64frombits(value.StaleNaN)
	h.sendOK(gaugeOf("g", double(1, math.NaN()), double(2, stale)), sumOf("d", delta, true, double(1, 1), double(2, stale)))
	require.Equal(t, []string{"d{} 1@1 stale@2", "g{} NaN@1 stale@2"}, h.held(""))
	// The ordinary NaN did not become the marker on its way.
	h.sendOK(gaugeOf("n", double(3, math.Float64frombits(value.StaleNaN+1))))
	require.Equal(t, []string{"n{} NaN@3"}, h.held("n"))
}

func TestPointWithoutAValueIsRejected(t *testing.T) {
	h := serve(t, config{})
	ps := h.send(gaugeOf("g", &mpb.NumberDataPoint{TimeUnixNano: at(0)}, double(0, 1)))
	require.EqualValues(t, 1, ps.GetRejectedDataPoints())
	require.Contains(t, ps.GetErrorMessage(), `metric "g": a data point has neither a value nor the no-recorded-value flag`)
	require.Equal(t, []string{"g{} 1@0"}, h.held(""))
}

func TestUnspecifiedTemporalityIsRejected(t *testing.T) {
	h := serve(t, config{})
	ps := h.send(
		sumOf("s", unspecified, true, double(0, 1), double(0, 2)),
		histogramOf("h", unspecified, buckets(0, nil, nil, 1)),
		exponentialOf("e", mpb.AggregationTemporality(7), expPoint(0, 0, 0, nil, 0)),
		gaugeOf("g", double(0, 1)),
	)
	require.EqualValues(t, 4, ps.GetRejectedDataPoints())
	for _, n := range []string{"s", "h", "e"} {
		require.Contains(t, ps.GetErrorMessage(), `metric "`+n+`": the aggregation temporality is unspecified`)
	}
	require.Equal(t, []string{"g{} 1@0"}, h.held(""))
}

func TestPointWithoutTimeIsRejected(t *testing.T) {
	h := serve(t, config{})
	p := double(0, 1)
	p.TimeUnixNano = 0
	ps := h.send(gaugeOf("g", p))
	require.EqualValues(t, 1, ps.GetRejectedDataPoints())
	require.Contains(t, ps.GetErrorMessage(), "no time")
}

func TestOldSampleIsRejectedAndFutureOneIsNot(t *testing.T) {
	h := serve(t, config{})
	far := double(0, 3, "t", "far future")
	far.TimeUnixNano = math.MaxUint64
	ps := h.send(gaugeOf("g", double(-121, 1, "t", "old"), double(3600, 2, "t", "future"), far))
	require.EqualValues(t, 1, ps.GetRejectedDataPoints())
	require.Contains(t, ps.GetErrorMessage(), `metric "g": sample is older than the retention`)
	require.Equal(t, []string{`g{t="far future"} 3@0`, `g{t="future"} 2@0`}, h.held(""))
}

func TestLateAndDuplicateSamplesAreNotRejected(t *testing.T) {
	h := serve(t, config{})
	h.clock.advance(10 * time.Second)
	h.sendOK(gaugeOf("g", double(5, 5)))
	h.sendOK(gaugeOf("g", double(3, 3), double(5, 99)))
	require.Equal(t, []string{"g{} 3@3 5@5"}, h.held(""))
}
