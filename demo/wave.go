package main

import (
	"math"
	"time"
)

// Moments of a wave, as shares of its period.
const (
	waveRises   = 0.10
	wavePeaks   = 0.40
	waveKillsAt = 0.45 // a pod is killed once the peak stands
	waveFalls   = 0.65
	waveEnds    = 0.90
)

// wave is the load the users put on the model: a trapezoid that starts and
// ends idle, so that one sees activation, every step up, and the way back.
type wave struct {
	period time.Duration
	peak   int // requests in flight at the top
}

// newWave peaks half a target below what max pods can take: enough to need
// the last pod, and clear of the edge where rounding would decide.
func newWave(period time.Duration, max int, target float64) wave {
	return wave{period: period, peak: int(math.Ceil(target * (float64(max) - 0.5)))}
}

func (w wave) load(elapsed time.Duration) int {
	var height float64
	switch at := float64(elapsed%w.period) / float64(w.period); {
	case at < waveRises || at >= waveEnds:
		return 0
	case at < wavePeaks:
		height = (at - waveRises) / (wavePeaks - waveRises)
	case at < waveFalls:
		height = 1
	default:
		height = (waveEnds - at) / (waveEnds - waveFalls)
	}
	return int(math.Ceil(height * float64(w.peak)))
}

// retention is what the service is run with: the load of a pod that was killed is
// held so long, and the way down is to be seen in the same wave. It is the
// service's own, two minutes, where there is time for that.
func (w wave) retention() time.Duration {
	return min(max(12*time.Second, w.period/4), 2*time.Minute).Round(time.Second)
}

// kills reports whether the moment to kill a pod lies in (before, now].
func (w wave) kills(before, now time.Duration) bool {
	moment := now - now%w.period + time.Duration(waveKillsAt*float64(w.period))
	return before < moment && moment <= now
}

// share is the part of total that pod i of n gets when it is dealt out evenly.
func share(total, i, n int) int {
	part := total / n
	if i < total%n {
		part++
	}
	return part
}
