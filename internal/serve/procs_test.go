package serve

import (
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestASpareThreadWhileRequestsQueue: what it is for is in test/e2e/overload.
func TestASpareThreadWhileRequestsQueue(t *testing.T) {
	if _, set := os.LookupEnv("GOMAXPROCS"); set {
		t.Skip("GOMAXPROCS decides")
	}
	synctest.Test(t, func(t *testing.T) {
		before := runtime.GOMAXPROCS(0)
		s := newSpareThread()
		for range 3 {
			s.needed()
			require.Equal(t, before+1, runtime.GOMAXPROCS(0))
			time.Sleep(spareFor - time.Second)
		}
		require.Equal(t, before+1, runtime.GOMAXPROCS(0), "it was needed since")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, before, runtime.GOMAXPROCS(0))

		s.needed()
		s.stop()
		require.Equal(t, before, runtime.GOMAXPROCS(0))
		s.needed()
		require.Equal(t, before, runtime.GOMAXPROCS(0), "what has stopped needs none")
	})
}

func TestGOMAXPROCSDecidesInstead(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	before := runtime.GOMAXPROCS(0)
	newSpareThread().needed()
	require.Equal(t, before, runtime.GOMAXPROCS(0))
}
