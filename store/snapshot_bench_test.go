package store

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSnapshot writes, and BenchmarkRestore reads, a million series of 24
// samples.
func BenchmarkSnapshot(b *testing.B) {
	s, _ := fleet(b)
	for b.Loop() {
		size := 0
		require.NoError(b, s.Snapshot(func(block []byte) error { size += len(block); return nil }))
		b.ReportMetric(float64(size)/float64(s.SeriesCount()), "B/series")
	}
}

func BenchmarkRestore(b *testing.B) {
	s, c := fleet(b)
	blocks := takeSnapshot(b, s)
	want := s.SeriesCount()
	s = nil                                          //nolint:wastedassign // gives its memory back
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // as at the start
	for b.Loop() {
		b.StopTimer()
		debug.FreeOSMemory()
		b.StartTimer()
		r := New(Options{Now: c.now})
		n, err := r.Restore(c.now(), from(blocks))
		require.NoError(b, err)
		require.Equal(b, want, n)
	}
}

func fleet(b *testing.B) (*Store, *clock) {
	b.Helper()
	s, c := newStore(b, Options{})
	all := make([]*Series, 1_000_000)
	for i := range 24 {
		c.at(float64(5 * i))
		a := s.Appender()
		for n := range all {
			at, v := c.ms.Load()-int64(n%1000), float64((n+i*(n%3))%5000)
			var err error
			if i == 0 {
				lset := podSeries(n)
				_, err = a.Append(lset, at, v)
				all[n] = a.Lookup(lset)
			} else {
				_, err = a.AppendTo(all[n], at, v)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		a.Commit()
	}
	return s, c
}
