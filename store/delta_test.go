package store

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// deltaSender pushes a gauge each 5 s, and a delta when there is one.
type deltaSender struct {
	t   *testing.T
	s   *Store
	now *time.Time
}

func (d *deltaSender) push(delta float64) {
	d.t.Helper()
	*d.now = d.now.Add(5 * time.Second)
	a := d.s.Appender()
	a.From(7)
	_, err := a.Append(labels.FromStrings(labels.MetricName, "up"), d.now.UnixMilli(), 1)
	require.NoError(d.t, err)
	if delta > 0 {
		out, err := a.Add(labels.FromStrings(labels.MetricName, "sent"), d.now.UnixMilli(), delta)
		require.NoError(d.t, err)
		require.Equal(d.t, Stored, out)
	}
	a.Commit()
}

func newDeltaSender(t *testing.T) *deltaSender {
	now := time.UnixMilli(1_700_000_000_000)
	return &deltaSender{t: t, now: &now, s: New(Options{Now: func() time.Time { return now }})}
}

func (d *deltaSender) survey(window time.Duration) (Survey, []Point) {
	sel, err := d.s.Select([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "sent")}, window, func() {})
	require.NoError(d.t, err)
	defer sel.Close()
	out, err := sel.Survey(d.t.Context(), SurveyOptions{At: d.s.Now(), Window: window.Milliseconds(), Accumulates: true, Silent: func(SilentSeries) {}})
	require.NoError(d.t, err)
	in, err := sel.Instant(d.t.Context(), &View{At: d.s.Now()})
	require.NoError(d.t, err)
	if in.Len() == 0 {
		return out, nil
	}
	points, err := in.Range(0, window.Milliseconds(), true, nil)
	require.NoError(d.t, err)
	return out, points
}

// TestAnIdleDeltaSeriesHasAConstantTotal while its sender pushes anything.
func TestAnIdleDeltaSeriesHasAConstantTotal(t *testing.T) {
	d := newDeltaSender(t)
	for range 5 {
		d.push(10)
	}
	for i := range 60 {
		d.push(0)
		out, points := d.survey(time.Minute)
		require.Equal(t, 1, out.Live, "push %d", i)
		require.Zero(t, out.Uncovered)
		require.GreaterOrEqual(t, len(points), 4)
		require.Equal(t, 50.0, points[len(points)-1].F)
	}
	_, points := d.survey(time.Minute)
	require.Equal(t, 50.0, points[0].F, "the window shows no deltas any more")
	d.push(3) // is newer than what was repeated
	_, points = d.survey(time.Minute)
	require.Equal(t, 53.0, points[len(points)-1].F)

	*d.now = d.now.Add(10 * time.Second) // nothing comes from the sender
	out, _ := d.survey(time.Minute)
	require.Zero(t, out.Live)
}

// TestAnIdleDeltaSeriesEnds when it has been idle for longer than any window.
func TestAnIdleDeltaSeriesEnds(t *testing.T) {
	d := newDeltaSender(t)
	d.push(1)
	d.push(1)
	for range 20 * 60 / 5 {
		d.push(0)
	}
	out, _ := d.survey(0)
	require.Zero(t, out.Live)
	d.s.Sweep()
	require.Equal(t, 1, d.s.SeriesCount())
	require.Empty(t, d.s.deltas.senders)
	d.push(4)
	d.push(0)
	out, _ = d.survey(0)
	require.Equal(t, 1, out.Live)
}

// TestADeltaOfTheSameExportInAnotherRequestCounts, although the total was repeated
// by the first request.
func TestADeltaOfTheSameExportInAnotherRequestCounts(t *testing.T) {
	d := newDeltaSender(t)
	for range 5 {
		d.push(10)
	}
	at := d.now.Add(5 * time.Second).UnixMilli()
	d.push(0)
	*d.now = d.now.Add(20 * time.Millisecond)
	a := d.s.Appender()
	a.From(7)
	out, err := a.Add(labels.FromStrings(labels.MetricName, "sent"), at, 5)
	require.NoError(t, err)
	require.Equal(t, Stored, out)
	a.Commit()
	_, points := d.survey(time.Minute)
	require.Equal(t, 55.0, points[len(points)-1].F)
}
