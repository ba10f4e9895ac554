package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWaveGoesFromIdleToThePeakAndBack(t *testing.T) {
	w := newWave(100*time.Second, 5, 4)
	assert.Equal(t, 18, w.peak)
	for second, load := range map[int]int{
		0: 0, 9: 0, 10: 0, 11: 1, 25: 9, 40: 18, 64: 18, 65: 18, 77: 10, 89: 1, 90: 0, 99: 0,
		100: 0, 125: 9, 199: 0, // and again
	} {
		assert.Equal(t, load, w.load(time.Duration(second)*time.Second), "second %d", second)
	}
}

func TestWavePeakNeedsEveryPod(t *testing.T) {
	for _, c := range []struct {
		max    int
		target float64
	}{{1, 4}, {5, 4}, {5, 0.5}, {20, 1}, {3, 0.001}, {5, 100}} {
		hpa := autoscaler{min: 1, max: c.max, replicas: 1}
		assert.Equal(t, c.max, hpa.observe(float64(newWave(time.Minute, c.max, c.target).peak), c.target), "%+v", c)
	}
}

func TestWaveKillsOnceAPeriod(t *testing.T) {
	w := newWave(20*time.Second, 5, 4)
	var killed []int
	for second := 1; second <= 60; second++ {
		if now := time.Duration(second) * time.Second; w.kills(now-time.Second, now) {
			killed = append(killed, second)
		}
	}
	assert.Equal(t, []int{9, 29, 49}, killed)
}

// TestTheWayDownIsSeen: what is held for a killed pod is let go before the wave ends.
func TestTheWayDownIsSeen(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	for _, period := range []time.Duration{o.wave, time.Hour} {
		w := newWave(period, o.max, o.target)
		free := time.Duration(waveKillsAt*float64(w.period)) + w.retention()
		assert.Greater(t, w.load(free), w.peak/2)
		assert.LessOrEqual(t, w.retention(), 2*time.Minute, "no longer than the service by itself")
	}
}

func TestShareDealsOutEverything(t *testing.T) {
	for total := range 12 {
		for n := 1; n <= 5; n++ {
			sum := 0
			for i := range n {
				sum += share(total, i, n)
			}
			assert.Equal(t, total, sum)
		}
	}
	assert.Equal(t, 3, share(7, 0, 3))
	assert.Equal(t, 2, share(7, 2, 3))
}
