package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
)

// leaves bounds how long a killed sidecar's series stays in the sum: three
// missed pushes, at least ten seconds, and what polling and a busy machine add.
const leaves = 16 * time.Second

// TestCollectorsKilled is the death that sends no staleness marker, under load.
func TestCollectorsKilled(t *testing.T) {
	t.Parallel()
	const namespace = "killed"
	s := startScaler(t)
	consumer := s.consume(t, namespace, wrapped(running, namespace), "4")
	pods := s.startPods(t, namespace, 3, running)
	setRunning(pods, 2, 3, 4)
	consumer.becomes(t, appears, reading{9, true}, 0)
	s.knowsRhythm(t, namespace, len(pods))
	activity := s.watch(t, namespace, wrapped(running, namespace), "4")
	activity.becomes(t, true)

	t.Run("one of three leaves the sum within three missed pushes, and KEDA reads what it was", func(t *testing.T) {
		sum := fmt.Sprintf("query?query=sum(%s{namespace=%q})", running, namespace)
		killed := time.Now()
		pods[2].Kill(t)
		poll.Until(t, leaves, func(ctx context.Context) error {
			got, err := consumer.read(ctx)
			if bad := only(9)(got, err); bad != nil && ctx.Err() == nil {
				t.Fatal(bad)
			}
			if _, now := fetch(t, s.http, sum); !strings.Contains(fmt.Sprint(now), " 5]") {
				return fmt.Errorf("the sum is %v", now)
			}
			return nil
		})
		gone := time.Since(killed)
		t.Logf("out of the sum %s after the SIGKILL", gone.Round(100*time.Millisecond))
		require.Greater(t, gone, 8*time.Second, "a pause of a few seconds took a live pod's load away")
		consumer.becomes(t, follows, reading{9, true}, 0, only(9))
	})
	t.Run("the others take over more than it had", func(t *testing.T) {
		setRunning(pods[:2], 6, 7)
		consumer.becomes(t, appears, reading{13, true}, 0, noLess(9))
		setRunning(pods[:2], 2, 3)
		consumer.becomes(t, appears, reading{9, true}, 0, noLess(9))
	})
	t.Run("the last of them is an error and never less", func(t *testing.T) {
		killed := time.Now()
		pods[0].Kill(t)
		pods[1].Kill(t)
		held := consumer.held(t, leaves)
		t.Logf("held %s after the SIGKILL: %v", time.Since(killed).Round(100*time.Millisecond), held)
	})
	t.Run("they come back and so does the value", func(t *testing.T) {
		for _, p := range pods {
			p.startSidecar(t)
		}
		consumer.becomes(t, appears, reading{9, true}, 0, noLess(9))
	})
	require.Equal(t, []bool{true}, activity.seen(), "missing data is no transition")
}

// TestScalerKilled restarts the product under load: a store that begins empty
// must not read as idle pods, nor the first pod that is back as all of them.
func TestScalerKilled(t *testing.T) {
	t.Parallel()
	const namespace = "scaler-killed"
	s, consumer, _ := startWithFive(t, namespace, "--warm-up=15s")
	s.Kill(t)
	next := s.again(t)
	consumer.becomes(t, appears, reading{5, true}, 0, noLess(5))

	told := time.Now()
	require.Zero(t, next.Terminate(t))
	require.Less(t, time.Since(told), stopWithin, "with two Collectors pushing")
}

// TestScalerKilledWithASnapshot: KEDA waits for nobody's return.
func TestScalerKilledWithASnapshot(t *testing.T) {
	t.Parallel()
	const namespace = "snapshot"
	path := filepath.Join(t.TempDir(), "snapshot")
	s, consumer, pods := startWithFive(t, namespace, "--warm-up=15s", "--snapshot-interval=1s", "--snapshot-path="+path)
	since := time.Now()
	poll.Until(t, appears, func(context.Context) error { // the first warm-up writes none
		info, err := os.Stat(path)
		if err == nil && info.ModTime().Sub(since) < time.Second {
			err = fmt.Errorf("the snapshot is of %s", info.ModTime())
		}
		return err
	})
	s.Kill(t)
	next := s.again(t)
	consumer.becomes(t, follows, reading{5, true}, 0, func(got reading, err error) error {
		if err != nil && strings.Contains(err.Error(), "connection error") {
			return nil // KEDA's client waits a moment before it tries again
		}
		return only(5)(got, err)
	})
	require.Contains(t, next.Log(), "restored a snapshot")
	setRunning(pods, 4, 3)
	consumer.becomes(t, appears, reading{7, true}, 0, noLess(5), answered)
}

// startWithFive starts a scaler that knows two pods with five requests, and their
// rhythm.
func startWithFive(t *testing.T, namespace string, args ...string) (*scaler, *consumer, []*pod) {
	t.Helper()
	s := startScaler(t, args...)
	consumer := s.consume(t, namespace, wrapped(running, namespace), "4")
	pods := s.startPods(t, namespace, 2, running)
	setRunning(pods, 2, 3)
	consumer.becomes(t, appears, reading{5, true}, 0)
	s.knowsRhythm(t, namespace, len(pods))
	return s, consumer, pods
}

// knowsRhythm waits until every pod has pushed three times: how many pushes a
// sender has missed can be told only of one whose rhythm is known.
func (a addresses) knowsRhythm(t *testing.T, namespace string, pods int) {
	t.Helper()
	query := fmt.Sprintf("count(count_over_time(%s{namespace=%q}[1m]) >= 3)", running, namespace)
	a.consume(t, namespace, query, "1").becomes(t, follows, reading{float64(pods), true}, 0)
}

// only allows one value, active, and no error.
func only(value float64) func(reading, error) error {
	return func(got reading, err error) error {
		if err == nil && got != (reading{value, true}) {
			return fmt.Errorf("reading %+v is not %v", got, value)
		}
		return err
	}
}

// noLess allows values from one on, and errors.
func noLess(value float64) func(reading, error) error {
	return func(got reading, err error) error {
		if err == nil && (got.value < value || !got.active) {
			return fmt.Errorf("reading %+v is less than %v", got, value)
		}
		return nil
	}
}
