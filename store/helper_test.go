package store

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epoch is an arbitrary start of time, in ms.
const epoch = int64(1_700_000_000_000)

// clock is a store's time, moved by hand.
type clock struct{ ms atomic.Int64 }

func (c *clock) now() time.Time { return time.UnixMilli(c.ms.Load()) }

// at moves the clock to s seconds after the epoch.
func (c *clock) at(s float64) { c.ms.Store(ms(s)) }

func ms(s float64) int64 { return epoch + int64(math.Round(s*1000)) }

func newStore(t testing.TB, o Options) (*Store, *clock) {
	t.Helper()
	c := &clock{}
	c.at(0)
	o.Now = c.now
	return New(o), c
}

func push(t *testing.T, s *Store, lset labels.Labels, at, v float64) Outcome {
	t.Helper()
	a := s.Appender()
	out, err := a.Append(lset, ms(at), v)
	require.NoError(t, err)
	a.Commit()
	return out
}

type pt struct{ T, V float64 } // seconds after the epoch; a marker's V is -1000

const marker = -1000

// read returns the samples of all series that match name, by their labels.
func read(t *testing.T, s *Store, name string, from, to float64) map[string][]pt {
	t.Helper()
	q, err := s.Querier(ms(from), ms(to))
	require.NoError(t, err)
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name))
	out := map[string][]pt{}
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		var pts []pt
		for k := it.Next(); k != chunkenc.ValNone; k = it.Next() {
			require.Equal(t, chunkenc.ValFloat, k)
			at, v := it.At()
			if value.IsStaleNaN(v) {
				v = marker
			}
			pts = append(pts, pt{float64(at-epoch) / 1000, v})
		}
		out[set.At().Labels().String()] = pts
	}
	require.NoError(t, set.Err())
	return out
}

func one(t *testing.T, s *Store, from, to float64) []pt {
	t.Helper()
	all := read(t, s, "m", from, to)
	require.Len(t, all, 1)
	for _, pts := range all {
		return pts
	}
	return nil
}

var m = labels.FromStrings(labels.MetricName, "m")
