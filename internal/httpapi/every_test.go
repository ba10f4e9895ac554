package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"
)

// every endpoint of Prometheus', with parameters that it answers.
var every = map[string]string{
	"query":             "query=running",
	"query_range":       "query=running&start=1700000000&end=1700000010&step=5",
	"format_query":      "query=running",
	"parse_query":       "query=running",
	"series":            "match[]=running",
	"labels":            "",
	"label/pod/values":  "",
	"metadata":          "",
	"status/buildinfo":  "",
	"status/tsdb":       "",
	"query?query=1&x=y": "", // what nobody asks for does no harm
}

// getOnly are those that Prometheus has no POST for, where it is refused.
var getOnly = []string{"label/pod/values", "metadata", "status/buildinfo", "status/tsdb"}

// failing is a body whose sender is gone in the middle.
type failing struct{ io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestEveryEndpoint is asked wrongly in every way that is the same for all, and
// rightly after each: it answers as if nothing had been, and nothing is lost.
func TestEveryEndpoint(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxBody = 500 })
	f.load(t, pods)
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err := io.WriteString(zip, "query=running&match[]=running")
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	const form = "application/x-www-form-urlencoded"
	for _, path := range slices.Sorted(maps.Keys(every)) {
		good := every[path]
		for _, prefix := range []string{"/api/v1/", "/keda/api/v1/"} {
			where := prefix + path
			ask := func(method, contentType string, body io.Reader) *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(t.Context(), method, strings.ReplaceAll(where, "[]", "%5B%5D"), body)
				r.Header.Set("Content-Type", contentType)
				return f.do(r)
			}
			posts := !slices.Contains(getOnly, path)
			well := func() {
				t.Helper()
				r := get(t.Context(), where)
				if good != "" {
					r.URL.RawQuery = good
				}
				w := f.do(r)
				require.Equal(t, http.StatusOK, w.Code, "%s: %s", where, w.Body)
				require.Equal(t, 4, f.store.SeriesCount())
				if posts && good != "" {
					require.Equal(t, w.Body.String(), ask(http.MethodPost, form, strings.NewReader(good)).Body.String())
				}
			}
			refused := func(name string, code int, message string, w *httptest.ResponseRecorder) {
				t.Helper()
				require.Equal(t, code, w.Code, "%s: %s", where, name)
				require.Equal(t, "application/json", w.Header().Get("Content-Type"), "%s: %s", where, name)
				require.Contains(t, decodeError(t, w.Body).Error, message, "%s: %s", where, name)
				well()
			}
			well()
			for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, "BREW"} {
				w := ask(method, form, strings.NewReader(good))
				require.Contains(t, w.Header().Get("Allow"), http.MethodGet)
				refused(method, http.StatusMethodNotAllowed, "method "+method+" is not allowed", w)
			}
			if !posts {
				refused("POST", http.StatusMethodNotAllowed, "method POST is not allowed", ask(http.MethodPost, form, strings.NewReader(good)))
				continue
			}
			refused("oversized", 400, "request body too large", ask(http.MethodPost, form, strings.NewReader(good+"&more="+strings.Repeat("x", 500))))
			refused("truncated", 400, "unexpected EOF", ask(http.MethodPost, form, failing{strings.NewReader(good)}))
			refused("no form", 400, "invalid URL escape", ask(http.MethodPost, form, strings.NewReader("query=%")))
			refused("hardly a type", 400, "mime: ", ask(http.MethodPost, "a/b/c", strings.NewReader(good)))
			if good == "" || path == "labels" {
				continue // it needs no parameter, so that none is missed
			}
			missed := `invalid parameter "` // the first that it needs
			if path == "series" {
				missed = "no match[] parameter"
			}
			refused("another type", 400, missed, ask(http.MethodPost, "application/json", strings.NewReader(`{"query":"running"}`)))
			refused("compressed", 400, missed, ask(http.MethodPost, form, bytes.NewReader(zipped.Bytes())))
		}
	}
}

// LabelValues and LabelNames last as long as Select.
func (q slowQuerier) LabelValues(ctx context.Context, _ string, _ *storage.LabelHints, _ ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, q.Select(ctx, false, nil).Err()
}

func (q slowQuerier) LabelNames(ctx context.Context, _ *storage.LabelHints, _ ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, q.Select(ctx, false, nil).Err()
}

// TestEveryEndpointEndsWithItsClient, when it is at work and when it is not yet.
func TestEveryEndpointEndsWithItsClient(t *testing.T) {
	f, q := newSlow(t, func(o *Options) {
		o.AddOn = func(ctx context.Context, _, _ string) (float64, error) {
			return 0, slowQuerier{slow: o.Queryable.(slow)}.Select(ctx, false, nil).Err()
		}
	})
	requests := []func(context.Context) *http.Request{
		func(ctx context.Context) *http.Request {
			return httptest.NewRequestWithContext(ctx, http.MethodPost, "/memstore/query", strings.NewReader(`{"query":"running"}`))
		},
	}
	paths := []string{"/memstore/names", "/memstore/data"}
	for _, path := range []string{"query", "query_range", "series", "labels", "label/pod/values", "status/tsdb"} {
		for _, prefix := range []string{"/api/v1/", "/keda/api/v1/"} {
			paths = append(paths, prefix+path+"?"+every[path])
		}
	}
	for _, path := range paths {
		requests = append(requests, func(ctx context.Context) *http.Request { return get(ctx, path) })
	}
	for _, request := range requests {
		ctx, leave := context.WithCancel(t.Context())
		r := request(ctx)
		answered := make(chan *httptest.ResponseRecorder)
		go func() { answered <- f.do(r) }()
		<-q.began
		leave()
		w := <-answered
		require.Equal(t, 499, w.Code, "%s: %s", r.URL, w.Body)
		require.Equal(t, "canceled", decodeError(t, w.Body).ErrorType, r.URL)

		w = f.do(request(ctx)) // which is over before it begins
		require.Equal(t, 499, w.Code, "%s: %s", r.URL, w.Body)
		select {
		case <-q.began: // it may begin, but does not last
		default:
		}
	}
	require.Empty(t, f.API.queries.Semaphore)
	require.Empty(t, f.dumps.Semaphore)
}
