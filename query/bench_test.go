package query

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// crowd is a store with many series of one metric, four of which are of the
// deployment that is asked about.
func crowd(b *testing.B, series int) (*store.Store, *Engine, []labels.Labels) {
	now := func() time.Time { return time.UnixMilli(1_700_000_000_000) }
	s := store.New(store.Options{Now: now})
	e, err := New(Options{Store: s})
	require.NoError(b, err)
	a := s.Appender()
	var mine []labels.Labels
	for i := range series {
		lset := labels.FromStrings(labels.MetricName, "m", "namespace", "default",
			"deployment", fmt.Sprint("d", i/4), "pod", fmt.Sprint("p", i))
		for back := range int64(3) {
			_, err := a.Append(lset, now().UnixMilli()-10_000+5000*back, float64(i))
			require.NoError(b, err)
		}
		if i < 4 {
			mine = append(mine, lset)
		}
	}
	a.Commit()
	return s, e, mine
}

// BenchmarkEval is one poll: without a change, after a push, and without the direct
// evaluator.
func BenchmarkEval(b *testing.B) {
	for _, series := range []int{1000, 100_000} {
		s, e, mine := crowd(b, series)
		for name, text := range map[string]string{
			"few": `sum(m{namespace="default",deployment="d0"})`,
			"all": `sum(m{namespace="default"})`,
		} {
			p, err := e.Compile(Scope{}, text, LastOne)
			require.NoError(b, err)
			at := time.UnixMilli(1_700_000_000_000)
			run := func(how string, poll func(i int) error) {
				b.Run(fmt.Sprintf("series=%d/matching=%s/%s", series, name, how), func(b *testing.B) {
					b.ReportAllocs()
					for i := range b.N {
						if err := poll(i); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			push := func(i int) {
				a := s.Appender()
				_, _ = a.Append(mine[0], at.UnixMilli()-int64(i%100_000), 1)
				a.Commit()
			}
			r, err := p.Open(func() {})
			require.NoError(b, err)
			run("unchanged", func(int) error {
				if !r.Unchanged() {
					return errors.New("changed")
				}
				return nil
			})
			poll := func() error {
				survey, err := r.Survey(b.Context(), 0)
				if err == nil {
					_, err = r.Value(b.Context(), View{At: survey.At})
				}
				return err
			}
			run("pushed", func(i int) error { push(i); return poll() })
			run("engine-pushed", func(i int) error { push(i); _, _, err := p.Eval(b.Context(), at); return err })
			r.Close()
		}
	}
}

// BenchmarkRange is a poll whose answer moves with the time.
func BenchmarkRange(b *testing.B) {
	_, e, _ := crowd(b, 1000)
	at := time.UnixMilli(1_700_000_000_000)
	for _, text := range []string{`sum(rate(m[1m]))`, `sum(rate(m{deployment="d0"}[1m]))`} {
		p, err := e.Compile(Scope{}, text, LastOne)
		require.NoError(b, err)
		r, err := p.Open(func() {})
		require.NoError(b, err)
		b.Cleanup(r.Close)
		b.Run(text+"/direct", func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, err := r.Value(b.Context(), View{At: at.UnixMilli() + int64(i%1000)}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(text+"/engine", func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, _, err := p.Eval(b.Context(), at.Add(time.Duration(i%1000)*time.Millisecond)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
