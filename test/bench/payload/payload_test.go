package payload

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// decode reads a request with the protocol's own generated code.
func decode(t *testing.T, r *Request) *collector.ExportMetricsServiceRequest {
	t.Helper()
	decoded := &collector.ExportMetricsServiceRequest{}
	require.NoError(t, proto.Unmarshal(r.Bytes(), decoded))
	return decoded
}

func attributesOf(kvs []*common.KeyValue) map[string]string {
	found := map[string]string{}
	for _, kv := range kvs {
		found[kv.GetKey()] = kv.GetValue().GetStringValue()
	}
	return found
}

func TestPatchedBytesDecode(t *testing.T) {
	pods := Fleet(2, 3)
	requests, err := Requests(pods, ModelServer, len(pods), Full)
	require.NoError(t, err)
	require.Len(t, requests, 1)
	r := requests[0]
	require.Equal(t, len(pods)*len(ModelServer), r.Points())
	size := len(r.Bytes())

	for _, tc := range []struct {
		time  int64
		value float64
	}{{1_786_000_000_000_000_000, 3.25}, {1_786_000_005_000_000_001, 0}, {1, -7}} {
		r.Patch(tc.time, tc.value)
		require.Len(t, r.Bytes(), size)
		decoded := decode(t, r)
		require.Len(t, decoded.GetResourceMetrics(), len(pods))
		for i, rm := range decoded.GetResourceMetrics() {
			require.Equal(t, map[string]string{
				"k8s.namespace.name":  pods[i].Namespace,
				"k8s.deployment.name": pods[i].Deployment,
				"k8s.pod.name":        pods[i].Name,
				"service.name":        "otel-collector",
				"service.instance.id": "localhost:8080",
			}, attributesOf(rm.GetResource().GetAttributes()))
			require.Len(t, rm.GetScopeMetrics(), 1)
			for j, m := range rm.GetScopeMetrics()[0].GetMetrics() {
				require.Equal(t, ModelServer[j], m.GetName())
				points := m.GetGauge().GetDataPoints()
				require.Len(t, points, 1)
				require.Equal(t, uint64(tc.time), points[0].GetTimeUnixNano())
				require.Equal(t, &metrics.NumberDataPoint_AsDouble{AsDouble: tc.value}, points[0].GetValue())
				require.Equal(t, map[string]string{
					"namespace":  pods[i].Namespace,
					"deployment": pods[i].Deployment,
					"pod":        pods[i].Name,
					"model_name": "meta-llama/Llama-3.1-8B-Instruct",
				}, attributesOf(points[0].GetAttributes()))
			}
		}
	}
}

// TestPatchedBytesDecodeWithPdata reads them as the Collector does.
func TestPatchedBytesDecodeWithPdata(t *testing.T) {
	requests, err := Requests(Fleet(1, 1), ModelServer[:1], 1, Bare)
	require.NoError(t, err)
	requests[0].Patch(42, 2.5)
	decoded := pmetricotlp.NewExportRequest()
	require.NoError(t, decoded.UnmarshalProto(requests[0].Bytes()))
	rm := decoded.Metrics().ResourceMetrics().At(0)
	require.Equal(t, map[string]any{"service.name": "otel-collector", "service.instance.id": "localhost:8080"}, rm.Resource().Attributes().AsRaw())
	point := rm.ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0)
	require.Equal(t, pcommon.Timestamp(42), point.Timestamp())
	require.InDelta(t, 2.5, point.DoubleValue(), 0)
}

func TestRequestsSplitsTheFleet(t *testing.T) {
	pods := Fleet(7, 3)
	require.Len(t, pods, 21)
	requests, err := Requests(pods, ModelServer, 5, Full)
	require.NoError(t, err)
	require.Len(t, requests, 5, "the last one holds the rest")
	require.Equal(t, 21*len(ModelServer), Points(requests))

	seen := map[string]bool{}
	for _, r := range requests {
		for _, rm := range decode(t, r).GetResourceMetrics() {
			seen[attributesOf(rm.GetResource().GetAttributes())["k8s.pod.name"]] = true
		}
	}
	require.Len(t, seen, 21, "every pod is in one request")
}

func TestModelServerNamesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range ModelServer {
		require.False(t, seen[name], name)
		seen[name] = true
	}
	require.Len(t, seen, 20)
}

func TestNewRequestRefusesWhatItCanNotPatch(t *testing.T) {
	_, err := newRequest([]byte{0xff}, 1)
	require.Error(t, err)
	_, err = newRequest(nil, 1)
	require.ErrorIs(t, err, errNoPoints)

	r, err := encode(Fleet(1, 1), ModelServer[:1], Full)
	require.NoError(t, err)
	_, err = newRequest(r.Bytes(), 2)
	require.ErrorIs(t, err, errNoPoints)
}

func TestPatchDoesNotAllocate(t *testing.T) {
	requests, err := Requests(Fleet(5, 10), ModelServer, 50, Full)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(10, func() { requests[0].Patch(1, 2) }))
}
