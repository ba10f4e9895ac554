package httpapi

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// fill pushes n series.
func (f *fixture) fill(t testing.TB, n int) {
	t.Helper()
	a := f.store.Appender()
	for i := range n {
		_, err := a.Append(labels.FromStrings(labels.MetricName, "many", "pod", fmt.Sprintf("pod-%05d", i)), f.ms.Load(), float64(i))
		require.NoError(t, err)
	}
	a.Commit()
}

func TestCompression(t *testing.T) {
	f := newFixture(t)
	f.fill(t, 900)
	for _, path := range []string{"/api/v1/series?match[]=many", "/api/v1/query?query=many[1m]", "/memstore/data"} {
		plain := f.do(get(t.Context(), path))
		require.Empty(t, plain.Header().Get("Content-Encoding"))
		require.Contains(t, plain.Header().Values("Vary"), "Accept-Encoding")

		r := get(t.Context(), path)
		r.Header.Set("Accept-Encoding", "br;q=0.5, gzip;q=1")
		zipped := f.do(r)
		require.Equal(t, "gzip", zipped.Header().Get("Content-Encoding"))
		require.Empty(t, zipped.Header().Get("Content-Length"))
		require.Less(t, zipped.Body.Len(), plain.Body.Len()/3)
		reader, err := gzip.NewReader(zipped.Body)
		require.NoError(t, err)
		body, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.Equal(t, plain.Body.String(), string(body), path)

		r.Header.Set("Accept-Encoding", "gzip;q=0, identity")
		require.Empty(t, f.do(r).Header().Get("Content-Encoding"))
	}
	small := get(t.Context(), "/api/v1/query?query=sum(many)")
	small.Header.Set("Accept-Encoding", "gzip")
	w := f.do(small)
	require.Empty(t, w.Header().Get("Content-Encoding"), "what fits into a packet")
	require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
}

// pieces records the largest of the writes.
type pieces struct {
	*httptest.ResponseRecorder
	largest, count int
	failAfter      int
}

func (p *pieces) Write(b []byte) (int, error) {
	if p.count++; p.failAfter > 0 && p.count > p.failAfter {
		return 0, io.ErrClosedPipe
	}
	p.largest = max(p.largest, len(b))
	return p.ResponseRecorder.Write(b)
}

// TestAnswersAreNeverWholeInMemory: nor made to the end for a peer that has gone.
func TestAnswersAreNeverWholeInMemory(t *testing.T) {
	f := newFixture(t)
	f.fill(t, 5000)
	for _, path := range []string{"/api/v1/series?match[]=many", "/memstore/data"} {
		w := &pieces{ResponseRecorder: httptest.NewRecorder()}
		f.mux.ServeHTTP(w, get(t.Context(), path))
		require.Greater(t, w.Body.Len(), 5*piece)
		require.Less(t, w.largest, piece+1000)

	}
	o, made := &output{w: &pieces{ResponseRecorder: httptest.NewRecorder(), failAfter: 1}}, 0
	list(o, make([]struct{}, 1000), func(struct{}) {
		made++
		o.buf = append(o.buf, make([]byte, piece/4)...)
	})
	require.Equal(t, 8, made, "the second piece finds nobody")
}

// TestHalfADumpDoesNotLookWhole: nor is a peer that went away anybody's fault.
func TestHalfADumpDoesNotLookWhole(t *testing.T) {
	f := newFixture(t)
	f.fill(t, 900)
	w := &pieces{ResponseRecorder: httptest.NewRecorder(), failAfter: 1}
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { f.mux.ServeHTTP(w, get(t.Context(), "/memstore/data")) })
	require.Zero(t, testutil.ToFloat64(f.metrics.panics))
	require.Equal(t, http.StatusOK, f.do(get(t.Context(), "/memstore/data")).Code, "the one place was given back")
}

func TestOrigins(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.CORSOrigin = regexp.MustCompile(`^(?:https://.*\.example\.com)$`) })
	ask := func(method, origin string) http.Header {
		r := httptest.NewRequestWithContext(t.Context(), method, "/api/v1/query?query=1", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := f.do(r)
		if method == http.MethodOptions {
			require.Equal(t, http.StatusNoContent, w.Code)
			require.Empty(t, w.Body.String())
		}
		require.Contains(t, w.Header().Values("Vary"), "Origin")
		return w.Header()
	}
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		h := ask(method, "https://grafana.example.com")
		require.Equal(t, "https://grafana.example.com", h.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "GET, POST, OPTIONS", h.Get("Access-Control-Allow-Methods"))
		require.Equal(t, "Accept, Authorization, Content-Type, Origin", h.Get("Access-Control-Allow-Headers"))
		require.Empty(t, ask(method, "https://grafana.example.com.evil.org").Get("Access-Control-Allow-Origin"))
		require.Empty(t, ask(method, "").Get("Access-Control-Allow-Origin"))
	}
}

func TestOddStringsAreJSON(t *testing.T) {
	for _, s := range []string{"", "plain", `"`, `\`, "\x00\n", "é", "\xff", " ", strings.Repeat("x", 300) + "\t"} {
		require.JSONEq(t, string(mustMarshal(s)), string(appendString(nil, s)))
	}
}
