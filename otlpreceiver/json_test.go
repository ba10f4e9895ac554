package otlpreceiver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestJSONAsTheSpecificationWritesIt: numbers of 64 bits are text or numbers,
// names are in lower camel case, unknown ones are passed over.
func TestJSONAsTheSpecificationWritesIt(t *testing.T) {
	h := serveHTTP(t, config{attributes: []string{"*"}})
	res := h.post(strings.NewReader(`{"resourceMetrics": [{"resource": {"attributes": [{"key": "pod", "value": {"stringValue": "a"}}]},
		"scopeMetrics": [{"scope": {"name": "s"}, "metrics": [
			{"name": "whole", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{"timeUnixNano": "1785585600000000000", "asInt": "7"}]}},
			{"name": "broken", "gauge": {"dataPoints": [{"timeUnixNano": 1785585600000000000, "asDouble": 0.5, "attributes": [{"key": "n", "value": {"intValue": "8080"}}]}]}},
			{"name": "over", "gauge": {"dataPoints": [{"timeUnixNano": "1785585600000000000", "flags": 1}]}}]}]}],
		"somethingNew": {"a": [1, 2]}}`), "Content-Type", jsonType)
	require.Equal(t, 200, res.code, string(res.body))
	require.Equal(t, "{}", string(res.body))
	require.Equal(t, []string{`broken{n="8080", pod="a"} 0.5@0`, `whole{pod="a"} 7@0`}, h.held(""))
}

func TestDeeplyNestedJSONIsMalformed(t *testing.T) {
	const depth = 200_000
	nested := `{"resourceMetrics":[{"resource":{"attributes":[{"key":"a","value":` +
		strings.Repeat(`{"arrayValue":{"values":[`, depth) + strings.Repeat(`]}}`, depth) + `}]}}]}`
	_, err := decodeJSON([]byte(nested))
	require.ErrorIs(t, err, errJSON)
}

// FuzzJSON sends arbitrary text. What is not JSON is malformed; whatever is
// malformed changes nothing; every point of the rest is accounted for.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{"", "{}", "[]", "null", "7", `{"resourceMetrics":null}`, `{"resourceMetrics":[{}]}`, "{}{}", "{} x",
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"x","asDouble":"NaN"}]}}]}]}]}`} {
		f.Add([]byte(text))
	}
	whole := asJSON(f, allKinds())
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(asJSON(f, kserve(0, true)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &harness{t: t, clock: newClock(), reg: prometheus.NewRegistry()}
		h.store = store.New(store.Options{Now: h.clock.now, MaxSeries: 500, MaxSeriesPerMetric: 100})
		var err error
		h.receiver, err = New(Options{Store: h.store, ResourceAttributes: []string{"*"}, Registerer: h.reg})
		require.NoError(t, err)
		_, err = h.receiver.export(t.Context(), asRequest(encoded(t, gaugeOf("held", double(0, 1)))))
		require.NoError(t, err)
		before := h.held("")

		res, err := h.receiver.ingest(t.Context(), b, jsonFormat, viaHTTP)
		if err != nil {
			require.Equal(t, codes.InvalidArgument, status.Code(err))
			require.Equal(t, before, h.held(""))
			return
		}
		require.True(t, json.Valid(b))
		require.True(t, json.Valid(*res))
		md, err := decodeJSON(b)
		require.NoError(t, err)
		require.Equal(t, md.DataPointCount(), h.points("accepted")-1+h.points("rejected"))
	})
}
