package limit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSemaphoreBoundsAndIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSemaphore(2)
		require.True(t, s.TryAcquire())
		require.NoError(t, s.Acquire(t.Context()))
		require.False(t, s.TryAcquire())
		require.Len(t, s, 2)

		late := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, late)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, s.Acquire(ctx), late)
		require.Equal(t, time.Second, time.Since(began))

		order := make(chan int, 3)
		for i := range 3 {
			go func() {
				_ = s.Acquire(t.Context())
				order <- i
			}()
			synctest.Wait()
		}
		for want := range 3 {
			s.Release()
			require.Equal(t, want, <-order)
		}
		s.Release()
		s.Release()
		require.Empty(t, s)
	})
}

func TestAKeyHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShared[string](4, 2)
		acquire := func(key string) func() {
			release, err := s.Acquire(t.Context(), key)
			require.NoError(t, err, key)
			return release
		}
		refuses := func(key string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := s.Acquire(ctx, key)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		first, second := acquire("a"), acquire("a")
		refuses("a")
		third, fourth := acquire("b"), acquire("")
		refuses("b") // all are taken
		refuses("")
		require.Equal(t, 4, s.Len())

		waiting := make(chan func())
		go func() { waiting <- acquire("a") }()
		synctest.Wait()
		first()
		for _, release := range []func(){<-waiting, second, third, fourth} {
			release()
		}
		require.Empty(t, s.keys)
		require.Zero(t, s.Len())
		for range 4 {
			acquire("") // the zero key has all of it
		}
	})
}
