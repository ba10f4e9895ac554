package serve

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRoomForGarbageFollowsTheLiveHeap(t *testing.T) {
	const mib = 1 << 20
	for live, want := range map[uint64]uint64{ // in MiB, the room in MiB
		0: 0, 1: 4, 4: 14, 10: 14, 20: 14, 45: 14, 100: 30, 1000: 300,
	} {
		room := live * mib * uint64(gcPercent(live*mib)) / 100
		require.InDelta(t, want*mib, room, mib, "live %d MiB", live)
	}
}

func TestPaceIsSetAfterACollectionAndTakenBack(t *testing.T) {
	t.Setenv("GOGC", "") // restored by t.Setenv
	percent := func() int {
		now := debug.SetGCPercent(77)
		debug.SetGCPercent(now)
		return now
	}
	before := percent()
	require.NoError(t, os.Unsetenv("GOGC"))
	stop := paceGC()
	ballast := make([]byte, 40<<20)
	require.Eventually(t, func() bool {
		runtime.GC()
		return percent() < 40
	}, 10*time.Second, time.Millisecond, "fourteen MiB are a third of forty")
	runtime.KeepAlive(ballast)
	stop()
	require.Equal(t, before, percent())

	t.Setenv("GOGC", "150")
	stop = paceGC()
	require.Equal(t, before, percent(), "GOGC decides")
	stop()
}
