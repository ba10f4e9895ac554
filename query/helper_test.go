package query

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is an engine over a store whose clock is moved by hand.
type fixture struct {
	*Engine
	t     *testing.T
	store *store.Store
	ms    atomic.Int64
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t}
	f.ms.Store(1_700_000_000_000)
	f.store = store.New(store.Options{Now: f.now})
	e, err := New(Options{Store: f.store})
	require.NoError(t, err)
	f.Engine = e
	return f
}

func (f *fixture) now() time.Time { return time.UnixMilli(f.ms.Load()) }

func (f *fixture) wait(d time.Duration) { f.ms.Add(d.Milliseconds()) }

// load pushes series in Prometheus' notation, one to a line (name{...} 1 2 _
// stale 0+5x3), a step of five seconds between values, all pods in step. The
// clock stands at the last step afterwards.
func (f *fixture) load(script string) {
	f.t.Helper()
	type line struct {
		desc   string
		values []parser.SequenceValue
	}
	var lines []line
	steps := 0
	for l := range strings.Lines(script) {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		_, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(l)
		require.NoError(f.t, err)
		lines = append(lines, line{l, values})
		steps = max(steps, len(values))
	}
	for i := range steps {
		if i > 0 {
			f.wait(5 * time.Second)
		}
		a := f.store.Appender()
		for _, l := range lines {
			if i >= len(l.values) || l.values[i].Omitted {
				continue
			}
			lset, _, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(l.desc)
			require.NoError(f.t, err)
			_, err = a.Append(lset, f.ms.Load(), l.values[i].Value)
			require.NoError(f.t, err)
		}
		a.Commit()
	}
}

func (f *fixture) plan(text string, over OverTime) *Plan {
	f.t.Helper()
	p, err := f.Compile(Scope{}, text, over)
	require.NoError(f.t, err, text)
	return p
}

// eval evaluates now; ok is false without a value.
func (f *fixture) eval(text string, over OverTime) (v float64, ok bool, err error) {
	f.t.Helper()
	return f.plan(text, over).Eval(f.t.Context(), f.now())
}

// value evaluates now what must have a value.
func (f *fixture) value(text string, over OverTime) float64 {
	f.t.Helper()
	v, ok, err := f.eval(text, over)
	require.NoError(f.t, err, text)
	require.True(f.t, ok, text)
	return v
}

// open selects a query's series.
func (f *fixture) open(text string) *Reader {
	f.t.Helper()
	r, err := f.plan(text, LastOne).Open(func() {})
	require.NoError(f.t, err)
	f.t.Cleanup(r.Close)
	return r
}
