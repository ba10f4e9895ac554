package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// twoClocks are a store's: one that is set, and one that isn't.
type twoClocks struct{ wall, elapsed atomic.Int64 }

func (c *twoClocks) options() Options {
	c.wall.Store(epoch)
	return Options{
		Now:     func() time.Time { return time.UnixMilli(c.wall.Load()) },
		Elapsed: func() time.Duration { return time.Duration(c.elapsed.Load()) * time.Millisecond },
	}
}

func (c *twoClocks) wait(d time.Duration) {
	c.wall.Add(d.Milliseconds())
	c.elapsed.Add(d.Milliseconds())
}

func (c *twoClocks) set(by time.Duration) { c.wall.Add(by.Milliseconds()) }

// TestAClockThatIsSet moves what is held, whichever way and whoever looks first:
// nobody is over by it, nobody stays for it, and pushes go on.
func TestAClockThatIsSet(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 24 * 365 * time.Hour, -3 * time.Second} {
		for name, first := range map[string]func(*Store){
			"a sweep": func(s *Store) { s.Sweep() },
			"a push":  func(s *Store) { s.Appender().Commit() },
			"a query": func(s *Store) { present(t, s, "m") },
		} {
			t.Run(fmt.Sprint(by, " ", name), func(t *testing.T) {
				c := &twoClocks{}
				s := New(c.options())
				now := func() float64 { return float64(c.wall.Load()-epoch) / 1000 }
				for range 4 {
					c.wait(5 * time.Second)
					push(t, s, series("m", "pod", "lives"), now(), 1)
					push(t, s, series("m", "pod", "dies"), now(), 2)
				}
				changes := atomic.Int32{}
				w, err := s.Select(sel("m"), 0, func() { changes.Add(1) })
				require.NoError(t, err)
				defer w.Close()
				w.Arm()
				c.set(by)
				first(s)
				require.Equal(t, Presence{Live: 2}, present(t, s, "m"))
				require.Equal(t, pt{now(), 2}, last(read(t, s, "m", now()-60, now())[series("m", "pod", "dies").String()]))
				s.Sweep()
				require.Equal(t, int32(1), changes.Load(), "who waits for a moment hears that it has moved")
				for range 3 {
					c.wait(5 * time.Second)
					require.Equal(t, Stored, push(t, s, series("m", "pod", "lives"), now(), 3))
				}
				p := present(t, s, "m")
				require.Equal(t, []int{1, 1}, []int{p[Live], p[Late]}, "15 s later")
				require.Equal(t, uint32(5000), s.Appender().Lookup(series("m", "pod", "lives")).interval)
				c.wait(2 * time.Minute)
				s.Sweep()
				require.Equal(t, 1, s.SeriesCount())
				require.InDelta(t, 1, testutil.ToFloat64(s.metrics.steps), 0)
			})
		}
	}
}

// TestAClockThatIsCorrectedSlowly is followed.
func TestAClockThatIsCorrectedSlowly(t *testing.T) {
	c := &twoClocks{}
	s := New(c.options())
	push(t, s, m, 0, 1)
	c.set(leastStep * time.Millisecond)
	require.Equal(t, []pt{{0, 1}}, one(t, s, -10, 10))
	require.Zero(t, testutil.ToFloat64(s.metrics.steps))
}

// TestTheMachinesOwnClocks: without another, the one in Go's time is asked.
func TestTheMachinesOwnClocks(t *testing.T) {
	start := time.Now()
	at := start
	s := New(Options{Now: func() time.Time { return at }})
	s.now()
	at = start.Add(time.Hour) // both go on
	s.now()
	require.Zero(t, testutil.ToFloat64(s.metrics.steps))
	at = start.Round(0).Add(3 * time.Hour) // has no other
	s.now()
	require.Zero(t, testutil.ToFloat64(s.metrics.steps))
}

// TestAClockThatIsSetWhileAllIsGoingOn is for the race detector and for deadlocks.
func TestAClockThatIsSetWhileAllIsGoingOn(t *testing.T) {
	c := &twoClocks{}
	s := New(c.options())
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 300 {
				a := s.Appender()
				_, err := a.Append(series("m", "pod", fmt.Sprint(i)), a.now, float64(n))
				require.NoError(t, err)
				a.Commit()
				present(t, s, "m")
			}
		})
	}
	for i := range 100 {
		c.set(time.Duration(i%2*2-1) * time.Hour)
		s.Sweep()
	}
	all.Wait()
	require.Equal(t, 4, s.SeriesCount())
}
