package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/sidecar"
)

const (
	// late is how long nothing may arrive before a series of these sidecars is late:
	// 1.5 push intervals, at least two seconds.
	late = 2 * time.Second
	// leaves bounds how long a killed sidecar's series stays in the sum of the HTTP API:
	// until it is late, and what polling and a busy machine add.
	leaves = late + 6*time.Second
)

// TestCollectorsKilled is the death that sends no staleness marker, under load.
func TestCollectorsKilled(t *testing.T) {
	t.Parallel()
	const namespace = "killed"
	const retention = 30 * time.Second
	// The warm-up also applies when series return after all of them were forgotten.
	s := startScaler(t, "--retention="+retention.String(), "--warm-up=15s")
	consumer := s.consume(t, namespace, wrapped(running, namespace), "4")
	pods := s.startPods(t, namespace, 3, running)
	setRunning(pods, 2, 3, 4)
	consumer.becomes(t, appears, reading{9, true}, 0)
	s.knowsPushInterval(t, namespace, len(pods))
	activity := s.watch(t, namespace, wrapped(running, namespace), "4")
	activity.becomes(t, true)

	// sumIs tells whether the HTTP API, which decides nothing, returns a sum.
	sumIs := func(want string) error {
		_, now := fetch(t, s.http, fmt.Sprintf("query?query=sum(%s{namespace=%q})", running, namespace))
		if !strings.Contains(fmt.Sprint(now), " "+want+"]") {
			return fmt.Errorf("the sum is %v, want %s", now, want)
		}
		return nil
	}
	t.Run("one of three leaves the sum when it is late, and KEDA reads what it was", func(t *testing.T) {
		killed := time.Now()
		pods[2].Kill(t)
		poll.Until(t, leaves, func(ctx context.Context) error {
			got, err := consumer.read(ctx)
			if bad := only(9)(got, err); bad != nil && ctx.Err() == nil {
				t.Fatal(bad)
			}
			return sumIs("5")
		})
		out := time.Now()
		silence := out.Sub(newest(t, s.http, fmt.Sprintf("%s{namespace=%q, pod=\"pod-2\"}", running, namespace)))
		t.Logf("out of the sum %s after the SIGKILL, %s after the last sample", out.Sub(killed).Round(100*time.Millisecond), silence.Round(100*time.Millisecond))
		require.Greater(t, silence, late, "a short pause took a live pod's load away")
		consumer.becomes(t, follows, reading{9, true}, 0, only(9))
	})
	t.Run("the others take over more than it had", func(t *testing.T) {
		setRunning(pods[:2], 6, 7)
		consumer.becomes(t, appears, reading{13, true}, 0, noLess(9))
		setRunning(pods[:2], 2, 3)
		poll.Until(t, follows, func(context.Context) error { return sumIs("5") })
		consumer.becomes(t, follows, reading{9, true}, 0, noLess(9))
		s.pushOnceMore(t, namespace, pods[:2])
	})
	t.Run("the last of them leave their values for one retention, then an error and never less", func(t *testing.T) {
		killed := time.Now()
		pods[0].Kill(t)
		pods[1].Kill(t)
		for {
			got, err := consumer.read(t.Context())
			age := time.Since(killed)
			if err != nil {
				t.Logf("held %s after the SIGKILL: %v", age.Round(100*time.Millisecond), err)
				require.ErrorContains(t, err, "went silent under load")
				require.Greater(t, age, retention-2*sidecar.ScrapeInterval)
				break
			}
			// The third pod's load is forgotten before. The others' are not told one by one.
			require.True(t, got == reading{9, true} || got == reading{5, true}, "%+v", got)
			require.Less(t, age, retention+follows)
			time.Sleep(poll.Interval)
		}
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
// push interval.
func startWithFive(t *testing.T, namespace string, args ...string) (*scaler, *consumer, []*pod) {
	t.Helper()
	s := startScaler(t, args...)
	consumer := s.consume(t, namespace, wrapped(running, namespace), "4")
	pods := s.startPods(t, namespace, 2, running)
	setRunning(pods, 2, 3)
	consumer.becomes(t, appears, reading{5, true}, 0)
	s.knowsPushInterval(t, namespace, len(pods))
	return s, consumer, pods
}

// knowsPushInterval waits until every pod has pushed three times: how many pushes a
// sender has missed can be told only of one whose push interval is known. It asks the
// HTTP API: a trigger with that window holds for its first minute.
func (a addresses) knowsPushInterval(t *testing.T, namespace string, pods int) {
	t.Helper()
	query := url.QueryEscape(fmt.Sprintf("count(count_over_time(%s{namespace=%q}[1m]) >= 3)", running, namespace))
	poll.Until(t, follows, func(context.Context) error {
		if _, now := fetch(t, a.http, "query?query="+query); !strings.Contains(fmt.Sprint(now), fmt.Sprintf(" %d]", pods)) {
			return fmt.Errorf("pods with three pushes: %v, want %d", now, pods)
		}
		return nil
	})
}

// pushOnceMore waits until every pod has pushed again.
func (a addresses) pushOnceMore(t *testing.T, namespace string, pods []*pod) {
	t.Helper()
	since := time.Now()
	for i := range pods {
		poll.Until(t, follows, func(context.Context) error {
			if at := newest(t, a.http, fmt.Sprintf("%s{namespace=%q, pod=\"pod-%d\"}", running, namespace, i)); !at.After(since) {
				return fmt.Errorf("pod-%d pushed last at %s", i, at)
			}
			return nil
		})
	}
}

// newest returns the time of a series' newest sample.
func newest(t *testing.T, address, series string) time.Time {
	t.Helper()
	response, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(series+"[1m]"))
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Len(t, answer.Data.Result, 1)
	values := answer.Data.Result[0].Values
	return time.UnixMilli(int64(values[len(values)-1][0].(float64) * 1000))
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
