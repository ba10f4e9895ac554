package main

import (
	"bytes"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

// TestReadmesExplainIsTrue prints a model that lost one pod of three as README does.
func TestReadmesExplainIsTrue(t *testing.T) {
	const (
		name    = "huggingface-fbopt-predictor"
		metric  = "vllm:num_requests_running"
		command = "$ keda-otel-scaler explain default/" + name + "\n"
		bounded = metric + `{deployment="` + name + `",namespace="default"}`
	)
	asked := before(4 * time.Second)
	told := &inspectv1.Answer{At: asked, Cause: "partial_loss", Value: some(11.0), Reported: some(11.0), Active: true, DesiredReplicas: some(int32(3))}
	series := func(pod string, state inspectv1.SeriesState, value float64, age time.Duration) *inspectv1.Series {
		return &inspectv1.Series{State: state, Value: some(value), Age: durationpb.New(age), Labels: map[string]string{
			"__name__": metric, "namespace": "default", "deployment": name, "pod": name + "-7c9f-" + pod,
		}}
	}
	c := canned{objects: []*inspectv1.ScaledObject{{
		Namespace: "default", Name: name, At: before(0), TriggersTotal: 1,
		Triggers: []*inspectv1.Trigger{{
			Metadata: &inspectv1.Metadata{MetricQuery: `sum(` + metric + `{namespace="default", deployment="` + name + `"})`,
				OperationOverTime: "last_one", TargetValue: 4, OnMissing: "hold"},
			Evaluated: "sum(" + bounded + ")", Now: told, Told: told,
			Verdict: "active: 11 of target 4 a replica -> 3 replicas; the value includes series that are lost, as far as their load has not moved; 1 series with load went silent or were ended",
			Selectors: []*inspectv1.Selector{{Text: bounded, Live: 2, Late: 1, Series: []*inspectv1.Series{
				series("xyz12", inspectv1.SeriesState_SERIES_STATE_LATE, 2, 24*time.Second),
				series("fghij", inspectv1.SeriesState_SERIES_STATE_LIVE, 4, 4*time.Second),
				series("abcde", inspectv1.SeriesState_SERIES_STATE_LIVE, 5, 4*time.Second),
			}}},
			SelectorsTotal: 1,
			Asked: []*inspectv1.Asked{
				{Rpc: "GetMetricSpec", Count: 7, Last: asked}, {Rpc: "GetMetrics", Count: 7, Last: asked}, {Rpc: "IsActive", Count: 7, Last: asked},
			},
			Peers: []*inspectv1.Peer{{Address: "10.244.0.12", Count: 21, Last: asked, LastRpc: "IsActive"}},
			Transitions: []*inspectv1.Transition{
				{At: asked, Before: "value", Cause: "partial_loss", Active: true, Value: some(11.0)},
				{At: before(28 * time.Second), Cause: "value", Active: true, Value: some(11.0)},
			},
		}},
	}}}
	server := httptest.NewServer(first(inspectv1.NewInspectServiceHandler(c)))
	defer server.Close()
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"explain", "--server=" + server.URL, "default/" + name}, &stdout, &stderr), stderr.String())
	shown := blocks(t, "../../README.md", "console")
	i := slices.IndexFunc(shown, func(block string) bool { return strings.HasPrefix(block, command) })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, strings.TrimPrefix(shown[i], command), stdout.String())
}
