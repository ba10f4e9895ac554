package httpapi

import (
	"net/http"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/stretchr/testify/require"
)

// TestMetadata has Prometheus' parameters: 0 is none for limit, all for
// limit_per_metric, and a name of a histogram's series is not its family's.
func TestMetadata(t *testing.T) {
	f := newFixture(t)
	f.load(t, "a_total 1\nb_count 1\nb_sum 1\nc 1\n")
	a := f.store.Appender()
	a.Describe("a_total", metadata.Metadata{Type: model.MetricTypeCounter, Unit: "bytes", Help: `so "far"`})
	a.Describe("b", metadata.Metadata{Type: model.MetricTypeHistogram})
	const (
		ofA = `"a_total":[{"type":"counter","unit":"bytes","help":"so \"far\""}]`
		ofB = `"b":[{"type":"histogram","unit":"","help":""}]`
	)
	for query, want := range map[string]string{
		"":                                ofA + "," + ofB,
		"?limit=5":                        ofA + "," + ofB,
		"?limit=-1":                       ofA + "," + ofB,
		"?limit=1":                        ofA,
		"?limit=0":                        "",
		"?limit_per_metric=1":             ofA + "," + ofB,
		"?limit_per_metric=0":             ofA + "," + ofB,
		"?limit_per_metric=-1":            ofA + "," + ofB,
		"?metric=b":                       ofB,
		"?metric=b&limit=1":               ofB,
		"?metric=b_count":                 "",
		"?metric=c":                       "",
		"?metric=%FF":                     "",
		"?metric=b&limit_per_metric=9999": ofB,
	} {
		w := f.do(get(t.Context(), "/api/v1/metadata"+query))
		require.Equal(t, http.StatusOK, w.Code, query)
		require.JSONEq(t, `{"status":"success","data":{`+want+`}}`, w.Body.String(), query)
	}
	for _, name := range []string{"limit", "limit_per_metric"} {
		w := f.do(get(t.Context(), "/api/v1/metadata?"+name+"=1.5"))
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Equal(t, name+" must be a number", decodeError(t, w.Body).Error)
	}
}
