package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzParameters: whatever the parameters, the answer is JSON of the API's own
// shape with one of its codes, and never a panic or an endless evaluation.
func FuzzParameters(f *testing.F) {
	endpoints := []string{"query", "query_range", "series", "labels", "label/pod/values", "metadata", "status/tsdb", "format_query", "parse_query"}
	for i := range endpoints {
		for _, seed := range []string{
			"query=running&time=1700000000&limit=1&timeout=1s&stats=all",
			"query=sum(rate(errors_total[1m]))&start=1700000000&end=1700000010&step=5",
			"query=running&start=-1e17&end=9223372036&step=1e15&lookback_delta=290y",
			"match[]=running&match[]={pod=\"a\"}&start=2023-11-14T22:13:20.5Z&end=1e300",
			"query=%FF;%zz&time=NaN&timeout=-Inf",
			"query=running@start()%2Bidle[5m:1ms]%20offset%20-1y",
		} {
			f.Add(uint8(i), seed, seed)
		}
	}
	fix := newFixture(f, func(o *Options) { o.Timeout = 5 * time.Second })
	fix.load(f, pods)
	fix.loadHistogram(f, "latency")
	f.Fuzz(func(t *testing.T, which uint8, inURL, inBody string) {
		for _, prefix := range []string{"/api/v1/", "/keda/api/v1/"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, prefix+endpoints[int(which)%len(endpoints)], strings.NewReader(inBody))
			r.URL.RawQuery = inURL
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if which%2 == 0 {
				r.Method = http.MethodGet
			}
			w := fix.do(r)
			var body struct {
				Status, ErrorType, Error string
				Data                     json.RawMessage
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), "%s", w.Body)
			if w.Code == http.StatusOK {
				require.Equal(t, "success", body.Status)
				require.NotEmpty(t, body.Data)
				continue
			}
			require.Contains(t, []int{400, 405, 422, 503}, w.Code, "%s", w.Body)
			require.Equal(t, "error", body.Status)
			require.NotEmpty(t, body.ErrorType)
			require.NotEmpty(t, body.Error)
		}
	})
}

// FuzzMoment: a time is either exact or now, and now only if it was written as
// a whole second that is not long gone.
func FuzzMoment(f *testing.F) {
	for _, seed := range []string{"1700000000", "1699999999.9", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20,5Z", "1e9", "0x1p30", "NaN", "-9e18", minTimeText, maxTimeText} {
		f.Add(seed, int64(700))
	}
	f.Fuzz(func(t *testing.T, text string, ms int64) {
		now := time.UnixMilli(epoch + ms%5000)
		got, err := momentOf(text, now)
		exact, exactErr := parseTime(text)
		switch {
		case text == "":
			require.Equal(t, now, got)
		case exactErr != nil:
			require.Error(t, err)
		case !got.Equal(exact):
			require.Equal(t, now, got)
			require.Zero(t, exact.Nanosecond())
			require.NotContains(t, text, ".")
			require.Less(t, now.Sub(exact), 1500*time.Millisecond)
			require.False(t, exact.After(now))
		}
	})
}

// FuzzAddOnQuery: whatever the body, the answer is an operation's.
func FuzzAddOnQuery(f *testing.F) {
	for _, seed := range []string{`{"query":"running","operationOverTime":"rate"}`, `{"query":"sum(running{pod=a})"}`, `{"query":7}`, "[]", "", "{", "\xff", `{"query":"rate(errors_total[1m])"}`} {
		f.Add([]byte(seed))
	}
	fix := newFixture(f, func(o *Options) { o.Timeout = 5 * time.Second })
	fix.load(f, pods)
	f.Fuzz(func(t *testing.T, body []byte) {
		w := fix.do(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/memstore/query", bytes.NewReader(body)))
		var got operation
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), "%s", w.Body)
		require.Equal(t, "query", got.Operation)
		require.Equal(t, w.Code == http.StatusOK, got.OK)
		require.Equal(t, got.OK, got.Error == "")
		require.Contains(t, []int{200, 400, 500}, w.Code)
	})
}
