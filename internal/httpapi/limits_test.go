package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
)

// slow is a queryable whose Select lasts until its context ends. It tells when
// one begins.
type slow struct{ began chan struct{} }

func (q slow) Querier(int64, int64) (storage.Querier, error) { return slowQuerier{slow: q}, nil }

type slowQuerier struct {
	storage.Querier
	slow
}

func (q slowQuerier) Close() error { return nil }
func (q slowQuerier) Select(ctx context.Context, _ bool, _ *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	q.began <- struct{}{}
	<-ctx.Done()
	return storage.ErrSeriesSet(ctx.Err())
}

func newSlow(t testing.TB, change func(*Options)) (*fixture, slow) {
	t.Helper()
	q := slow{make(chan struct{}, 1000)}
	return newFixture(t, func(o *Options) {
		o.Queryable = q
		change(o)
	}), q
}

const query1 = "/api/v1/query?query=a"

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newSlow(t, func(o *Options) { o.Timeout = 2 * time.Second })
		for path, want := range map[string]time.Duration{
			query1: 2 * time.Second, query1 + "&timeout=100ms": 100 * time.Millisecond, query1 + "&timeout=0.5": 500 * time.Millisecond,
			query1 + "&timeout=1h": 2 * time.Second, "/api/v1/series?match[]=a": 2 * time.Second, "/api/v1/status/tsdb": 2 * time.Second,
			"/api/v1/query_range?query=a&start=1&end=2&step=1": 2 * time.Second,
		} {
			began := time.Now()
			w := f.do(get(t.Context(), path))
			require.Equal(t, want, time.Since(began), path)
			require.Equal(t, http.StatusServiceUnavailable, w.Code, path)
			require.Equal(t, "timeout", decodeError(t, w.Body).ErrorType, path)
		}
		w := f.do(get(t.Context(), query1))
		require.Equal(t, "query timed out in expression evaluation", decodeError(t, w.Body).Error)
		require.NoError(t, f.Stop(t.Context()))
	})
}

// TestLimiter has one place and room for two to wait.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newSlow(t, func(o *Options) { o.Timeout, o.Concurrency, o.Waiting = 10*time.Second, 1, 2 })
		var all sync.WaitGroup
		ask := func(path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			all.Go(func() { f.mux.ServeHTTP(w, get(t.Context(), path)) })
			synctest.Wait()
			return w
		}
		running := ask(query1 + "&timeout=5s")
		impatient, patient, tooMany := ask(query1+"&timeout=1s"), ask(query1), ask(query1)
		require.Equal(t, http.StatusServiceUnavailable, tooMany.Code)
		require.Equal(t, errorBody{"error", "unavailable", "1 requests are being answered and 2 wait for their turn; try again later"}, decodeError(t, tooMany.Body))

		time.Sleep(2 * time.Second) // the bubble's
		synctest.Wait()
		require.Equal(t, errorBody{"error", "timeout", "query timed out in query queue"}, decodeError(t, impatient.Body))
		require.Equal(t, http.StatusServiceUnavailable, impatient.Code)
		began := time.Now()
		all.Wait()
		require.Equal(t, 8*time.Second, time.Since(began), "the wait is part of the timeout")
		require.Equal(t, "query timed out in expression evaluation", decodeError(t, running.Body).Error)
		require.Equal(t, "query timed out in expression evaluation", decodeError(t, patient.Body).Error, "it had its turn")

		ctx, cancel := context.WithCancel(t.Context())
		first := ask(query1)
		gone := httptest.NewRecorder()
		all.Go(func() { f.mux.ServeHTTP(gone, get(ctx, query1)) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.Equal(t, errorBody{"error", "canceled", "query was canceled in query queue"}, decodeError(t, gone.Body))
		all.Wait()
		require.NotEmpty(t, first.Body.String())
		require.Zero(t, f.API.queries.waiting.Load())
		require.NoError(t, f.Stop(t.Context()))
	})
}

// asking is a peer that asks something else before it takes an answer.
type asking struct {
	*httptest.ResponseRecorder
	ask func()
}

func (a asking) Write(b []byte) (int, error) {
	a.ask()
	return a.ResponseRecorder.Write(b)
}

func TestSlowReadersTakeNobodysTurn(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Concurrency, o.Timeout = 1, time.Second })
	f.load(t, pods)
	for _, path := range []string{query1, "/api/v1/series?match[]=running", "/memstore/data", "/memstore/names"} {
		asked := 0
		f.mux.ServeHTTP(asking{httptest.NewRecorder(), func() {
			asked++
			require.Equal(t, http.StatusOK, f.do(get(t.Context(), query1)).Code, path)
		}}, get(t.Context(), path))
		require.Equal(t, 1, asked)
	}
}

func TestTooManySamples(t *testing.T) {
	f := newFixture(t) // 1000 at a time
	f.load(t, pods)
	w := f.do(get(t.Context(), "/api/v1/query_range?query=running&start=1700000000&end=1700000010&step=10ms"))
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Equal(t, errorBody{"error", "execution", "query processing would load too many samples into memory in query execution"}, decodeError(t, w.Body))
}

// TestClientsThatGoAway end what they asked for.
func TestClientsThatGoAway(t *testing.T) {
	f, q := newSlow(t, func(*Options) {})
	server := f.server(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-q.began
		cancel()
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+query1, nil)
	require.NoError(t, err)
	_, err = server.Client().Do(request) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, context.Canceled)
	server.Close() // once the request is over
	require.InDelta(t, 1, testutil.ToFloat64(f.metrics.requests.WithLabelValues("/api/v1/query", "499")), 0)
}

// TestStop ends what runs, and says that it was not the client.
func TestStop(t *testing.T) {
	f, q := newSlow(t, func(*Options) {})
	answered := make(chan *httptest.ResponseRecorder)
	go func() { answered <- f.do(get(t.Context(), query1)) }()
	<-q.began
	done, cancel := context.WithCancel(t.Context())
	cancel()
	f.active.RLock() // a request that does not notice
	require.ErrorIs(t, f.Stop(done), context.Canceled)
	f.active.RUnlock()
	require.NoError(t, f.Stop(t.Context()))
	for _, w := range []*httptest.ResponseRecorder{<-answered, f.do(get(t.Context(), query1)), f.do(get(t.Context(), "/memstore/names"))} {
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, errorBody{"error", "unavailable", "the server is shutting down"}, decodeError(t, w.Body))
	}
}
