package httpapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMoment asks at 22:13:20.700, and at the edges of the second before.
func TestMoment(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(epoch + ms) }
	for _, tc := range []struct {
		name, text string
		now, want  time.Time
	}{
		{"no time", "", at(700), at(700)},
		{"this second, as KEDA writes it", "2023-11-14T22:13:20Z", at(700), at(700)},
		{"in another zone", "2023-11-14T23:13:20+01:00", at(700), at(700)},
		{"as a number", "1700000000", at(700), at(700)},
		{"on the second itself", "1700000000", at(0), at(0)},
		{"sent at the end of its second", "1700000000", at(1000), at(1000)},
		{"and half a second on its way", "1700000000", at(1499), at(1499)},
		{"but not longer", "1700000000", at(1500), at(0)},
		{"the second before the last", "1699999999", at(700), at(-1000)},
		{"a second that has not begun", "1700000001", at(999), at(1000)},
		{"a fraction", "1700000000.5", at(700), at(500)},
		{"a fraction of zero", "1700000000.0", at(700), at(0)},
		{"a fraction in RFC 3339", "2023-11-14T22:13:20.000Z", at(700), at(0)},
		{"a fraction with a comma", "2023-11-14T22:13:20,5Z", at(700), at(500)},
		{"a fraction without a point", "17000000005e-1", at(700), at(500)},
		{"long ago", "1600000000", at(700), time.Unix(1_600_000_000, 0)},
	} {
		got, err := momentOf(tc.text, tc.now)
		require.NoError(t, err, tc.name)
		require.True(t, tc.want.Equal(got), "%s: %s instead of %s", tc.name, got, tc.want)
	}
}

// TestWholeSecondsHideNothing is what KEDA does: a push, and within the same
// second a query whose time is cut down to it.
func TestWholeSecondsHideNothing(t *testing.T) {
	f := newFixture(t)
	f.load(t, "running 1")
	f.ms.Add(400)
	f.load(t, "running 7")
	f.ms.Add(10)
	for path, value := range map[string]string{
		"/keda/api/v1/query?query=running&time=2023-11-14T22:13:20Z":               "7",
		"/api/v1/query?query=running&time=2023-11-14T22:13:20Z":                    "7",
		"/api/v1/query?query=running":                                              "7",
		"/api/v1/query?query=running&time=1700000000.0":                            "1",
		"/api/v1/query?query=running&time=2023-11-14T22:13:20.399Z":                "1",
		"/api/v1/query?query=running&time=2023-11-14T22:13:20.4Z":                  "7",
		"/api/v1/query_range?query=running&start=1700000000&end=1700000000&step=1": "1",
	} {
		w := f.do(get(t.Context(), path))
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Body.String(), `,"`+value+`"]`, path)
	}
}
