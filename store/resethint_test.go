package store

import (
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// TestAHistogramSaysWhetherItWentOn goes through what may stand before a sample.
func TestAHistogramSaysWhetherItWentOn(t *testing.T) {
	s, c := newStore(t, Options{})
	a := s.Appender()
	at := func(sec, count float64, hint histogram.CounterResetHint) *histogram.FloatHistogram {
		c.at(max(sec, float64(c.ms.Load()-epoch)/1000))
		a.Reset()
		h := &histogram.FloatHistogram{Count: count, CounterResetHint: hint}
		_, err := a.AppendHistogram(m, ms(sec), h)
		require.NoError(t, err)
		return h
	}
	const unknown, notReset, gauge, reset = histogram.UnknownCounterReset, histogram.NotCounterReset, histogram.GaugeType, histogram.CounterReset
	first := at(0, 5, notReset)
	at(5, 7, unknown)
	at(10, 7, unknown)
	at(15, 3, notReset)
	at(20, 4, gauge)
	at(25, 5, unknown)
	at(30, 6, reset)
	_, err := a.Append(m, ms(31), ring.StaleNaN)
	require.NoError(t, err)
	at(35, 8, unknown)
	at(40, 9, unknown)
	at(37, 1, unknown)
	at(2, 6, unknown)
	ser := a.Lookup(m)
	var got []histogram.CounterResetHint
	for i := range ser.ring.Len() {
		if h := ser.ring.At(i).Hist; h != nil {
			got = append(got, h.CounterResetHint)
		}
	}
	require.Equal(t, []histogram.CounterResetHint{
		unknown,  // 0: the first, whatever its sender says
		unknown,  // 2: came late
		unknown,  // 5: went on from 0, but not from 2 for all that is known
		notReset, // 10
		unknown,  // 15: fewer than before
		gauge,    // 20
		unknown,  // 25: a gauge says nothing
		notReset, // 30: went on, whatever its sender says
		unknown,  // 35: the series had ended
		unknown,  // 37: came late
		unknown,  // 40: 37 came in between
	}, got)
	require.Equal(t, notReset, first.CounterResetHint, "the caller's own is not written to")
}
