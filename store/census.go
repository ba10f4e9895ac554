package store

import "sync/atomic"

// counts are a sweep's: it looks at every series anyway.
type counts struct {
	states  [states]int64
	largest int32 // series of the metric name that has most
}

func (c *counts) noteLocked(ser *Series, now, lookback int64) {
	c.largest = max(c.largest, ser.name.series.Load())
	if ser.ring.len() > 0 {
		c.states[ser.stateLocked(now, lookback)]++
	}
}

// census keeps the last sweep's counts for whoever asks in between, who must not
// hold anything up.
type census struct {
	states  [states]atomic.Int64
	largest atomic.Int32
}

func (c *census) set(to counts) {
	for i, n := range to.states {
		c.states[i].Store(n)
	}
	c.largest.Store(to.largest)
}
