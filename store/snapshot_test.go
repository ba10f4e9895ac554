package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store/internal/ring"
)

// takeSnapshot returns a store's blocks.
func takeSnapshot(t testing.TB, s *Store) (blocks [][]byte) {
	t.Helper()
	require.NoError(t, s.Snapshot(func(b []byte) error {
		blocks = append(blocks, bytes.Clone(b))
		return nil
	}))
	return blocks
}

func from(blocks [][]byte) func() ([]byte, error) {
	return func() ([]byte, error) {
		if len(blocks) == 0 {
			return nil, io.EOF
		}
		b := blocks[0]
		blocks = blocks[1:]
		return b, nil
	}
}

// restoredAt returns a store into which s was restored, taken now, at that second.
func restoredAt(t testing.TB, s *Store, at float64, o Options) (*Store, *clock) {
	t.Helper()
	taken := s.opts.Now()
	r, c := newStore(t, o)
	c.at(at)
	n, err := r.Restore(taken, from(takeSnapshot(t, s)))
	require.NoError(t, err)
	require.Equal(t, s.SeriesCount(), n)
	return r, c
}

// inside is all that a series is, but for the room it has.
type inside struct {
	lset         string
	samples      []ring.Sample
	arrived      int64
	interval     uint32
	ahead        uint32
	nameInterval uint32
	position     int
}

func insides(s *Store) (all []inside) {
	var b labels.ScratchBuilder
	found, _ := s.index.Find(context.Background())
	for i, ser := range found {
		lset, _ := s.index.Labels(ser, &b)
		in := inside{
			lset: lset.String(), arrived: ser.arrivedLocked(), interval: ser.interval,
			ahead: ser.ahead, nameInterval: ser.name.interval.Load(), position: i,
		}
		for j := range ser.ring.Len() {
			one := ser.ring.At(j)
			if math.IsNaN(one.V) {
				one.V = marker
			}
			in.samples = append(in.samples, one)
		}
		all = append(all, in)
	}
	return all
}

func nativeHistogram(n int) *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		CounterResetHint: histogram.NotCounterReset, Schema: 3, ZeroThreshold: 1e-128, ZeroCount: float64(n), Count: float64(6 * n), Sum: 1.1 * float64(n),
		PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}, {Offset: 4, Length: 1}}, PositiveBuckets: []float64{float64(n), float64(2 * n), 0.5},
		NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: []float64{float64(n)},
	}
}

// everything fills a store with one of each, pushed every five seconds, and leaves
// the clock at 60.
func everything(t testing.TB, s *Store, c *clock) {
	for i := range 13 {
		at := float64(5 * i)
		c.at(at)
		a := s.Appender()
		add := func(_ Outcome, err error) { require.NoError(t, err) }
		add(a.Append(series("narrow", "pod", "a"), ms(at), float64(i)))
		add(a.Append(series("narrow", "pod", "b"), ms(at)-300, -float64(i)/4))
		add(a.Append(series("wide", "pod", "a"), ms(at), 0.1*float64(i)))
		add(a.Append(series("odd", "pod", "a"), ms(at), []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e300}[i%5]))
		add(a.Append(series("ahead", "pod", "a"), ms(at+3600), float64(i)))
		add(a.AppendHistogram(series("native"), ms(at), nativeHistogram(i)))
		custom := nativeHistogram(i)
		custom.Schema, custom.CustomValues = histogram.CustomBucketsSchema, []float64{0.5, 1, 2, float64(3 + i/6)}
		custom.ZeroThreshold, custom.ZeroCount, custom.NegativeSpans, custom.NegativeBuckets = 0, 0, nil, nil
		custom.PositiveSpans = []histogram.Span{{Offset: 1, Length: 2}, {Offset: 1, Length: 1}}
		add(a.AppendHistogram(series("custom"), ms(at), custom))
		add(a.Append(series("late", "pod", "a"), ms(at-float64(i%3)*7), 5))
		if i < 4 {
			add(a.Append(series("gone", "pod", "a"), ms(at), 7))
			add(a.Append(series("ended", "pod", "a"), ms(at), 7))
			add(a.AppendHistogram(series("ended_native"), ms(at), nativeHistogram(i)))
		}
		if i == 4 {
			add(a.End(series("ended", "pod", "a"), ms(at)))
			add(a.End(series("ended_native"), ms(at)))
		}
		if i == 12 {
			add(a.Append(series("narrow", "pod", "new", "zone", "1"), ms(at), 1))
		}
		a.Commit()
	}
	a := s.Appender()
	a.Describe("narrow", metadata.Metadata{Type: model.MetricTypeGauge, Unit: "s", Help: "What is narrow."})
	a.Commit()
	s.Sweep()
}

// TestSnapshotHoldsEverything: a store restored at once is the one that was written.
func TestSnapshotHoldsEverything(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c)
	r, _ := restoredAt(t, s, 60, Options{})
	require.Equal(t, insides(s), insides(r))
	require.Equal(t, s.Metadata(""), r.Metadata(""))
	require.NotEmpty(t, r.Metadata("narrow"))
	for _, name := range []string{"narrow", "wide", "gone", "ended", "late", "ahead"} {
		require.Equal(t, read(t, s, name, -100, 100), read(t, r, name, -100, 100), name)
	}
	require.Equal(t, takeSnapshot(t, s), takeSnapshot(t, r))
}

func present(t *testing.T, s *Store, name string) Presence {
	t.Helper()
	p, _, err := s.Show(t.Context(), 0, sel(name)...)
	require.NoError(t, err)
	return p
}

// lookUp returns the series with these labels.
func lookUp(s *Store, lset labels.Labels) *Series { return s.Appender().Lookup(lset) }

// TestRestoredStoreGoesOn: what is pushed after a restore finds its series, and
// the restored series go by the rules for all.
func TestRestoredStoreGoesOn(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c)
	r, rc := restoredAt(t, s, 62, Options{})
	for _, both := range []struct {
		s *Store
		c *clock
	}{{s, c}, {r, rc}} {
		both.c.at(65)
		require.Equal(t, Stored, push(t, both.s, series("narrow", "pod", "a"), 65, 99))
		require.Equal(t, OutOfOrder, push(t, both.s, series("narrow", "pod", "a"), 63, 98))
		require.Equal(t, Duplicate, push(t, both.s, series("narrow", "pod", "a"), 60, 1))
		require.Equal(t, Stored, push(t, both.s, series("wide", "pod", "a"), 65, 1e300))
		require.Equal(t, Stored, push(t, both.s, series("narrow", "pod", "z"), 65, 1))
	}
	require.Equal(t, read(t, s, "narrow", 0, 65), read(t, r, "narrow", 0, 65))
	require.Equal(t, read(t, s, "wide", 0, 65), read(t, r, "wide", 0, 65))
	require.Equal(t, s.SeriesCount(), r.SeriesCount())
	rc.at(300)
	r.Sweep()
	require.Zero(t, r.SeriesCount(), "what is old goes")
	requireNoPairs(t, r)
	require.Empty(t, r.Metadata(""))
}

// TestRestoredSeriesAreLateUntilTheyArePushed: a sender may have died while the
// process was down, so a series counts as live only after its next push.
func TestRestoredSeriesAreLateUntilTheyArePushed(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c) // at 60, every 5 s
	for _, at := range []float64{60, 61, 100} {
		r, rc := restoredAt(t, s, at, Options{})
		require.Equal(t, Presence{Late: 3}, present(t, r, "narrow"), "restored at %v", at)
		require.Equal(t, 1, present(t, r, "ended")[Ended])
		found := lookUp(r, series("narrow", "pod", "a"))
		require.Equal(t, ms(at), found.arrivedLocked(), "downtime is not the sender's silence")
		rc.at(at + 1)
		require.Equal(t, Stored, push(t, r, series("narrow", "pod", "a"), at+1, 1))
		require.Equal(t, Presence{Live: 1, Late: 2}, present(t, r, "narrow"))
	}
}

// TestDowntimeIsNoSilence of any series: each is as silent as it was when the snapshot
// was taken, and ended as long ago.
func TestDowntimeIsNoSilence(t *testing.T) {
	s, c := newStore(t, Options{})
	for at := 0.0; at <= 60; at += 5 {
		c.at(at)
		push(t, s, series("m", "pod", "live"), at, 1)
		if at <= 30 {
			push(t, s, series("m", "pod", "late"), at, 2)
			push(t, s, series("m", "pod", "ended"), at, 3)
		}
	}
	a := s.Appender()
	_, err := a.End(series("m", "pod", "ended"), ms(58))
	require.NoError(t, err)
	a.Commit()
	r, rc := restoredAt(t, s, 130, Options{})
	out, silent := survey(t, r, SurveyOptions{At: ms(130)})
	require.Zero(t, out.Live, "until they are pushed again")
	require.Equal(t, ms(130), silent["live"].Arrived)
	require.Equal(t, ms(100), silent["late"].Arrived)
	require.Equal(t, ms(130), silent["ended"].Ended)
	rc.at(155) // the last value of the ended series is older than the retention
	r, rc = restoredAt(t, r, 230, Options{})
	_, silent = survey(t, r, SurveyOptions{At: ms(230)})
	require.InDelta(t, 3, silent["ended"].Value, 0, "in the second snapshot, too")
	rc.at(330)
	r.Sweep()
	require.Equal(t, 2, r.SeriesCount(), "a retention and one and a half push intervals after 200 s")
}

// TestRestoredSeriesThatEnds keeps its last value, though that is older than the
// retention, and the arrival that the restore has moved.
func TestRestoredSeriesThatEnds(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c) // at 60
	r, rc := restoredAt(t, s, 170, Options{})
	rc.at(200)
	a := r.Appender()
	_, err := a.End(series("narrow", "pod", "a"), ms(200))
	require.NoError(t, err)
	a.Commit()
	sel, err := r.Select([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "narrow"), labels.MustNewMatcher(labels.MatchEqual, "pod", "a")}, 0, func() {})
	require.NoError(t, err)
	defer sel.Close()
	var silent []SilentSeries
	_, err = sel.Survey(t.Context(), SurveyOptions{At: ms(200), Silent: func(s SilentSeries) { silent = append(silent, s) }})
	require.NoError(t, err)
	require.Len(t, silent, 1)
	require.InDelta(t, 12, silent[0].Value, 0)
	require.Equal(t, ms(170), silent[0].Arrived)
	require.Equal(t, ms(200), silent[0].Ended)
}

// TestDowntimeDoesNotChangeThePushInterval: the gap across a restart is the
// process' own.
func TestDowntimeDoesNotChangeThePushInterval(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c)
	r, rc := restoredAt(t, s, 100, Options{})
	for at := 104.0; at < 120; at += 5 {
		rc.at(at)
		push(t, r, series("narrow", "pod", "a"), at, 1)
		require.Equal(t, uint32(5000), lookUp(r, series("narrow", "pod", "a")).interval, "at %v", at)
	}
	require.Equal(t, []pt{{55, 11}, {60, 12}, {104, 1}, {109, 1}}, of(t, r, "narrow", "a", 55, 110), "a sender that comes back in time was not silent")
}

// TestSnapshotFromTheFuture: our clock was set back by an hour.
func TestSnapshotFromTheFuture(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c)
	r, rc := restoredAt(t, s, -3540, Options{})
	require.Equal(t, pt{-3540, 12}, last(of(t, r, "narrow", "a", -3600, -3540)))
	rc.at(-3535)
	push(t, r, series("narrow", "pod", "a"), -3535, 13)
	require.Equal(t, pt{-3535, 13}, last(of(t, r, "narrow", "a", -3600, -3535)))
	rc.at(-3300)
	r.Sweep()
	require.Zero(t, r.SeriesCount(), "not in an hour, but as ever")
}

func TestOldSnapshotIsNone(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c)
	r, rc := newStore(t, Options{})
	rc.at(180.001)
	_, err := r.Restore(c.now(), from(takeSnapshot(t, s)))
	require.ErrorIs(t, err, ErrOldSnapshot)
	require.Zero(t, r.SeriesCount())
}

// TestRestoreObservesLimits: all series or none.
func TestRestoreObservesLimits(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c)
	for _, tc := range []struct {
		o    Options
		want error
	}{
		{Options{MaxSeries: s.SeriesCount() - 1}, ErrSeriesLimit},
		{Options{MaxSeriesPerMetric: 2}, ErrMetricLimit},
		{Options{MaxSeries: s.SeriesCount(), MaxSeriesPerMetric: 3}, nil},
	} {
		r, rc := newStore(t, tc.o)
		rc.at(60)
		_, err := r.Restore(c.now(), from(takeSnapshot(t, s)))
		require.ErrorIs(t, err, tc.want)
		if tc.want == nil {
			continue
		}
		require.Zero(t, r.SeriesCount())
		require.Equal(t, Stored, push(t, r, m, 60, 1), "a failure leaves an empty store that works")
		require.Equal(t, []pt{{60, 1}}, one(t, r, 0, 60))
	}
	r, rc := newStore(t, Options{MaxSamplesPerSeries: 3})
	rc.at(60)
	_, err := r.Restore(c.now(), from(takeSnapshot(t, s)))
	require.NoError(t, err)
	require.Equal(t, []pt{{50, 10}, {55, 11}, {60, 12}}, of(t, r, "narrow", "a", 0, 60), "the newest stay")
}

// seriesBlock returns a block with one series.
func seriesBlock(lset, body []byte) []byte {
	out := append([]byte{blockSeries, byte(len(lset))}, lset...)
	return append(append(out, byte(len(body))), body...)
}

// oneSeries returns a block with one series that has a sample.
func oneSeries(lset ...byte) []byte { return seriesBlock(lset, []byte{0, 0, 0, 1, 2, 0, 0}) }

func TestRestoreRefusesDamage(t *testing.T) {
	s, c := newStore(t, Options{})
	everything(t, s, c)
	blocks := takeSnapshot(t, s)
	require.Len(t, blocks, 2)
	broken := errors.New("broken disk")
	named := append([]byte{0, 8}, "__name__\x01m"...)
	undamaged, uc := newStore(t, Options{})
	n, err := undamaged.Restore(uc.now(), from([][]byte{oneSeries(named...)}))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for name, next := range map[string]func() ([]byte, error){
		"cut off":            from([][]byte{blocks[0][:len(blocks[0])-1], blocks[1]}),
		"too long":           from([][]byte{append(bytes.Clone(blocks[0]), 0), blocks[1]}),
		"twice":              from([][]byte{blocks[0], blocks[0]}),
		"an empty block":     from([][]byte{{}}),
		"an unknown block":   from([][]byte{{'?'}}),
		"damaged metadata":   from([][]byte{blocks[0], {blockDescribed, '{'}}),
		"half a number":      from([][]byte{oneSeries(0xfb)}),
		"an unknown label":   from([][]byte{oneSeries(1)}),
		"no name":            from([][]byte{oneSeries(0, 1, 'a', 1, 'b')}),
		"labels in no order": from([][]byte{oneSeries(append(named, 0, 1, 'A', 1, 'b')...)}),
		"a label twice":      from([][]byte{oneSeries(append(named, 1)...)}),
		"an empty label":     from([][]byte{oneSeries(append(named, 0, 1, 'a', 0)...)}),
		"no labels":          from([][]byte{oneSeries()}),
		"no samples":         from([][]byte{seriesBlock(named, []byte{0, 0, 0, 0, 0, 0, 0})}),
		"huge length":        from([][]byte{append([]byte{blockSeries}, binary.AppendUvarint(nil, math.MaxUint64)...)}),
		"times not in order": from([][]byte{seriesBlock(named, []byte{0, 0, 0, 2, 0, 0, 0, 0, 0})}),
		"before 1970":        from([][]byte{seriesBlock(named, []byte{0, 0, 0, 1, 1, 0, 0})}),
	} {
		t.Run(name, func(t *testing.T) {
			r, rc := newStore(t, Options{})
			rc.at(60)
			_, err := r.Restore(c.now(), next)
			require.ErrorIs(t, err, ErrSnapshot)
			require.Zero(t, r.SeriesCount())
			requireNoPairs(t, r)
		})
	}
	r, rc := newStore(t, Options{})
	rc.at(60)
	_, err = r.Restore(c.now(), func() ([]byte, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
	push(t, s, m, 60, 1)
	_, err = s.Restore(c.now(), from(blocks))
	require.ErrorContains(t, err, "not empty")
}

// TestSnapshotOfAnyStore: random stores, many blocks, refs that were freed, pairs
// whose numbers have got another meaning.
func TestSnapshotOfAnyStore(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		s, c := newStore(t, Options{Retention: time.Minute})
		for i := range 40 {
			c.at(float64(5 * i))
			a := s.Appender()
			for range 200 {
				pod := fmt.Sprintf("pod-%d", rnd.IntN(100)+10*i)
				v := float64(rnd.IntN(1000))
				if rnd.IntN(50) == 0 {
					v = rnd.NormFloat64()
				}
				_, _ = a.Append(series(fmt.Sprintf("m%d", rnd.IntN(5)), "pod", pod, "x", fmt.Sprint(rnd.IntN(2))), ms(float64(5*i))-int64(rnd.IntN(9000)), v)
			}
			a.Commit()
			s.Sweep()
		}
		r, _ := restoredAt(t, s, 195, Options{Retention: time.Minute})
		mint := ms(135)
		want, got := insides(s), insides(r)
		for _, all := range [][]inside{want, got} {
			for i := range all {
				all[i].nameInterval = 0                                     // the first sweep finds it
				for len(all[i].samples) > 1 && all[i].samples[0].T < mint { // given up lazily
					all[i].samples = all[i].samples[1:]
				}
			}
		}
		require.Equal(t, want, got, "seed %d", seed)
	}
}

// TestSnapshotOfManyBlocks: each block numbers its labels anew.
func TestSnapshotOfManyBlocks(t *testing.T) {
	s, _ := newStore(t, Options{})
	for n := range 10_000 {
		push(t, s, podSeries(n), 0, float64(n))
	}
	require.Greater(t, len(takeSnapshot(t, s)), 1)
	r, _ := restoredAt(t, s, 0, Options{})
	require.Equal(t, insides(s), insides(r))
}

// TestSnapshotWhileAllIsGoingOn is for the race detector, and whatever comes out
// must be readable.
func TestSnapshotWhileAllIsGoingOn(t *testing.T) {
	s := New(Options{Retention: 50 * time.Millisecond})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			a := s.Appender()
			for p := range 50 {
				_, _ = a.Append(series("m", "pod", fmt.Sprint(i/3+p)), time.Now().UnixMilli(), float64(i)*0.1)
			}
			a.Commit()
			s.Sweep()
		}
	}()
	for range 20 {
		r := New(Options{})
		_, err := r.Restore(time.Now(), from(takeSnapshot(t, s)))
		require.NoError(t, err)
	}
	close(stop)
	<-done
}

// FuzzRestore: whatever the blocks, there is a store or an error, and no more
// memory than the bytes can stand for.
func FuzzRestore(f *testing.F) {
	s, c := newStore(f, Options{})
	everything(f, s, c)
	for _, b := range takeSnapshot(f, s) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		r, rc := newStore(t, Options{MaxSeries: 1000})
		rc.at(60)
		n, err := r.Restore(time.UnixMilli(ms(60)), from([][]byte{block}))
		require.Equal(t, r.SeriesCount(), n)
		if err != nil {
			require.Zero(t, n)
			return
		}
		again := takeSnapshot(t, r) // all of it can be read
		r2, rc2 := newStore(t, Options{MaxSeries: 1000})
		rc2.at(60)
		_, err = r2.Restore(time.UnixMilli(ms(60)), from(again))
		require.NoError(t, err)
		rc.at(1000)
		r.Sweep()
	})
}

// of returns the samples of one pod's series.
func of(t *testing.T, s *Store, name, pod string, from, to float64) []pt {
	t.Helper()
	return read(t, s, name, from, to)[series(name, "pod", pod).String()]
}
