package query

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// The direct evaluator has one specification: the engine. What follows makes
// data and queries out of bytes, and holds the two against each other.

// tape deals out choices from bytes; at its end it deals zeros.
type tape struct{ data []byte }

func (tp *tape) n(limit int) int {
	if len(tp.data) == 0 {
		return 0
	}
	b := tp.data[0]
	tp.data = tp.data[1:]
	return int(b) % limit
}

func (tp *tape) float() float64 {
	switch tp.n(12) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1 - 2*tp.n(2))
	case 2:
		return math.Copysign(0, -1)
	case 3:
		return math.Copysign(math.MaxFloat64, float64(1-2*tp.n(2)))
	case 4:
		return -float64(tp.n(256)) / 3
	case 5:
		var b [8]byte
		tp.data = tp.data[copy(b[:], tp.data):]
		return math.Float64frombits(binary.LittleEndian.Uint64(b[:]))
	case 6:
		return 1e16 + float64(tp.n(256))
	default:
		return float64(tp.n(256)) / 10
	}
}

// world is a store with a past, and the clock it goes by.
type world struct {
	tp     *tape
	store  *store.Store
	engine *Engine
	now    int64
	totals [6]float64 // of the pods' counters
}

var retentions = []time.Duration{2 * time.Minute, time.Minute, 30 * time.Second}

func newWorld(t testing.TB, tp *tape) *world {
	w := &world{tp: tp, now: 1_700_000_000_000}
	retention := retentions[tp.n(3)]
	lookback := retention / time.Duration(1+tp.n(2))
	w.store = store.New(store.Options{
		Retention: retention, Lookback: lookback, MaxSamplesPerSeries: []int{1024, 7}[tp.n(2)],
		Now: func() time.Time { return time.UnixMilli(w.now) },
	})
	var err error
	w.engine, err = New(Options{
		Store: w.store, Retention: retention, Lookback: lookback,
		MaxSamples: []int{0, 0, 0, 5, 20}[tp.n(5)], CacheSize: 64,
	})
	require.NoError(t, err)
	return w
}

func pod(i int) labels.Labels {
	lset := []string{labels.MetricName, []string{"m", "n_total"}[i%2], "namespace", []string{"a", "b"}[i/4], "pod", fmt.Sprint(i)}
	if i == 5 {
		lset = append(lset, "__type__", "gauge")
	}
	return labels.FromStrings(lset...)
}

// step does one thing that happens to a store.
func (w *world) step() {
	w.now += []int64{0, 1, 137, 5000, 5000, 5000, 9999, 30_000}[w.tp.n(8)]
	p := w.tp.n(6)
	at := w.now - []int64{0, 0, 0, 0, 1, 5000, 7500, 29_999, 60_000, -3000}[w.tp.n(10)]
	a := w.store.Appender()
	defer a.Commit()
	switch k := w.tp.n(40); {
	case k == 0:
		_, _ = a.AppendHistogram(pod(p), at, &histogram.FloatHistogram{Count: 3, Sum: 4})
	case k < 4:
		_, _ = a.End(pod(p), at)
	case k < 6:
		w.store.Sweep()
	case k < 8:
		_, _ = a.Append(pod(p), at, math.Float64frombits(value.StaleNaN))
	case k < 18 && p%2 == 1:
		w.totals[p] += float64(w.tp.n(256)) / 7
		if w.tp.n(10) == 0 {
			w.totals[p] = 0
		}
		_, _ = a.Append(pod(p), at, w.totals[p])
	case k < 22: // all pods at once, as a gateway pushes
		for q := range 6 {
			_, _ = a.Append(pod(q), at, w.tp.float())
		}
	default:
		_, _ = a.Append(pod(p), at, w.tp.float())
	}
}

// query makes one of the shapes that the direct evaluator knows.
func (w *world) query() (string, OverTime) {
	sel := []string{`m`, `n_total`, `m{namespace="a"}`, `m{pod!="0"}`, `n_total{pod=~"1|3"}`, `{namespace="a"}`, `m{pod="x"}`, `{__name__=~"m|n_total"}`}[w.tp.n(8)]
	agg := []string{"sum", "avg", "min", "max", "count"}[w.tp.n(5)]
	window := []string{"1ms", "5s", "10s", "15s", "30s", "1m", "2m", "5m"}[w.tp.n(8)]
	fns := []string{"rate", "increase", "delta", "irate", "idelta", heldRate, "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time"}
	fn := fns[w.tp.n(len(fns))]
	switch w.tp.n(6) {
	case 0:
		return sel, LastOne
	case 1:
		return fmt.Sprintf("%s(%s)", agg, sel), LastOne
	case 2:
		return fmt.Sprintf("%s((%s(%s[%s])))", agg, fn, sel, window), LastOne
	case 3:
		return fmt.Sprintf("%s(%s(%s[%s]) and %s)", agg, fn, sel, window, sel), LastOne
	case 4:
		return fmt.Sprintf("%s(%s)", agg, sel), []OverTime{Avg, Min, Max, Count, Rate}[w.tp.n(5)]
	default:
		return sel, []OverTime{Avg, Min, Max, Count, Rate}[w.tp.n(5)]
	}
}

// moment is when to evaluate: mostly now, as the scaler does.
func (w *world) moment() time.Time {
	return time.UnixMilli(w.now - []int64{0, 0, 0, 0, 0, 1, 5000, 60_000, -1, -9000}[w.tp.n(10)])
}

// view is how series are shown: as they are now, or with some changes.
func (w *world) view(at time.Time) View {
	v := View{At: at.UnixMilli(), AsOf: w.tp.n(3) == 0}
	if w.tp.n(2) == 0 {
		return v
	}
	v.Carry, v.Without = map[SeriesID]struct{}{}, map[SeriesID]struct{}{}
	a := w.store.Appender()
	for i := range 6 {
		ser := a.Lookup(pod(i))
		if ser == nil {
			continue
		}
		switch w.tp.n(5) {
		case 0:
			v.Without[SeriesID{ser}] = struct{}{}
		case 1, 2:
			v.Carry[SeriesID{ser}] = struct{}{}
		}
	}
	return v
}

// agree holds the direct evaluator against the engine, under a random view. It
// returns whether the direct evaluator answered.
func (w *world) agree(t testing.TB, text string, over OverTime, at time.Time) bool {
	p, err := w.engine.Compile(Scope{}, text, over)
	if errors.Is(err, ErrWindow) {
		return false
	}
	require.NoError(t, err, text)
	r, err := p.Open(func() {})
	require.NoError(t, err, text)
	defer r.Close()
	view := w.view(at)
	stored := view.store()
	v := r.variant(nil)
	if v.direct == nil {
		return false
	}
	got, ok, err := r.evalDirect(t.Context(), v, stored)
	if errors.Is(err, errFallBack) {
		return false
	}
	require.NoError(t, err, text)
	want, wantOK, err := p.evalEngine(t.Context(), p.text, stored)
	require.NoError(t, err, text)
	require.Equal(t, wantOK, ok, "%s: %v, want %v, under %+v", p, got, want, view)
	requireSame(t, want, got, p)
	value, err := r.Value(t.Context(), view)
	switch {
	case !ok:
		require.NoError(t, err, text)
		require.Equal(t, Value{}, value, text)
	case finite(want):
		require.NoError(t, err, text)
		require.Equal(t, HasValue, value.State, text)
		requireSame(t, want, value.V, p)
	default:
		require.ErrorIs(t, err, ErrNotOneNumber, text)
	}
	return true
}

func requireSame(t testing.TB, want, got float64, p *Plan) {
	if math.IsNaN(want) && math.IsNaN(got) {
		return
	}
	if math.Float64bits(want) != math.Float64bits(got) {
		t.Fatalf("%s: %v (%#x), and the engine says %v (%#x)", p, got, math.Float64bits(got), want, math.Float64bits(want))
	}
}

func differ(t testing.TB, data []byte) (answered int) {
	w := newWorld(t, &tape{data})
	for len(w.tp.data) > 0 {
		for range 1 + w.tp.n(30) {
			w.step()
		}
		text, over := w.query()
		if w.agree(t, text, over, w.moment()) {
			answered++
		}
	}
	return answered
}

func randomBytes(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 7))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	return data
}

func TestDirectAgainstEngine(t *testing.T) {
	answered := 0
	for seed := range uint64(400) {
		answered += differ(t, randomBytes(seed, 1500))
	}
	t.Logf("%d queries were answered directly", answered)
	require.Greater(t, answered, 2000, "most queries are answered directly")
}

func FuzzDirectAgainstEngine(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomBytes(seed, 600))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) <= 4096 {
			differ(t, data)
		}
	})
}
