package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epoch is where every fixture's clock starts, in ms: a whole second.
const epoch = int64(1_700_000_000_000)

// fixture is an API over a store whose clock is moved by hand.
type fixture struct {
	*API
	mux      *http.ServeMux
	registry *prometheus.Registry
	store    *store.Store
	queries  *query.Engine
	ms       atomic.Int64
}

func newFixture(t testing.TB, changes ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{mux: http.NewServeMux(), registry: prometheus.NewRegistry()}
	f.ms.Store(epoch)
	f.store = store.New(store.Options{Now: f.now})
	var err error
	f.queries, err = query.New(query.Options{Store: f.store, Timeout: time.Minute, MaxSamples: 1000})
	require.NoError(t, err)
	engine, parser := f.queries.PromQL()
	o := Options{
		Queryable: f.store, Engine: engine, Parser: parser, Metadata: f.store.Metadata, AddOn: f.addOn, Timeout: time.Minute,
		Build: Build{Version: "3.16.0"}, Info: map[string]string{"version": "1"},
		Now: f.now, Registerer: f.registry,
	}
	for _, change := range changes {
		change(&o)
	}
	f.API = New(o)
	f.Register(f.mux)
	t.Cleanup(func() { require.NoError(t, f.Stop(context.Background())) })
	return f
}

func (f *fixture) now() time.Time { return time.UnixMilli(f.ms.Load()) }

func (f *fixture) addOn(ctx context.Context, text, overTime string) (float64, error) {
	over, err := query.ParseOverTime(overTime)
	if err != nil {
		return 0, err
	}
	plan, err := f.queries.Compile(query.Scope{}, text, over)
	if err != nil {
		return 0, err
	}
	v, ok, err := plan.Eval(ctx, f.now())
	if err == nil && !ok {
		err = fmt.Errorf("%s has no value", plan)
	}
	return v, err
}

// load pushes series, one a line in Prometheus' notation, every five seconds;
// the clock stands at the last push afterwards.
func (f *fixture) load(t testing.TB, script string) {
	t.Helper()
	type line struct {
		lset   labels.Labels
		values []parser.SequenceValue
	}
	var lines []line
	steps := 0
	for text := range strings.Lines(script) {
		if strings.TrimSpace(text) == "" {
			continue
		}
		lset, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(strings.TrimSpace(text))
		require.NoError(t, err)
		lines = append(lines, line{lset, values})
		steps = max(steps, len(values))
	}
	for i := range steps {
		if i > 0 {
			f.ms.Add(5000)
		}
		a := f.store.Appender()
		for _, l := range lines {
			if i < len(l.values) && !l.values[i].Omitted {
				_, err := a.Append(l.lset, f.ms.Load(), l.values[i].Value)
				require.NoError(t, err)
			}
		}
		a.Commit()
	}
}

// loadHistogram pushes a native histogram.
func (f *fixture) loadHistogram(t testing.TB, name string) {
	t.Helper()
	a := f.store.Appender()
	_, err := a.AppendHistogram(labels.FromStrings(labels.MetricName, name), f.ms.Load(), &histogram.FloatHistogram{
		Schema: 0, Count: 11, Sum: 12.5, ZeroThreshold: 0.25, ZeroCount: 2,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{3, 4},
		NegativeSpans: []histogram.Span{{Offset: 1, Length: 2}}, NegativeBuckets: []float64{2, 0},
	})
	require.NoError(t, err)
	a.Commit()
}

// do answers a request without a network.
func (f *fixture) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

func get(ctx context.Context, path string) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
}

func post(ctx context.Context, path string, form url.Values) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// server is the API behind a real connection.
func (f *fixture) server(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f.mux)
	t.Cleanup(s.Close)
	return s
}

type errorBody struct{ Status, ErrorType, Error string }

func decode(t testing.TB, body string, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(body), into), body)
}

func decodeError(t testing.TB, body io.Reader) (e errorBody) {
	t.Helper()
	require.NoError(t, json.NewDecoder(body).Decode(&e))
	require.Equal(t, "error", e.Status)
	return e
}
