package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// canned is a server that says what it is told to.
type canned struct {
	inspectv1.UnimplementedInspectServiceHandler
	objects []*inspectv1.ScaledObject
	list    []*inspectv1.ScaledObjectSummary
}

var now = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

func before(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }

func (c canned) GetScaledObject(_ context.Context, req *inspectv1.GetScaledObjectRequest) (*inspectv1.GetScaledObjectResponse, error) {
	for _, o := range c.objects {
		if o.GetNamespace() == req.GetNamespace() && o.GetName() == req.GetName() && req.GetSeriesLimit() == 20 {
			return &inspectv1.GetScaledObjectResponse{ScaledObject: o}, nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("unknown"))
}

// ListScaledObjects has pages of one.
func (c canned) ListScaledObjects(_ context.Context, req *inspectv1.ListScaledObjectsRequest) (*inspectv1.ListScaledObjectsResponse, error) {
	at := 0
	for i, o := range c.list {
		if o.GetName() == req.GetPageToken() {
			at = i + 1
		}
	}
	out := &inspectv1.ListScaledObjectsResponse{Total: int32(len(c.list)), At: before(0)}
	if at < len(c.list) {
		out.ScaledObjects = c.list[at : at+1]
	}
	if at+1 < len(c.list) {
		out.NextPageToken = c.list[at].GetName()
	}
	return out, nil
}

func some[T any](v T) *T { return &v }

func cannedServer(t *testing.T) {
	active := &inspectv1.Answer{At: before(3 * time.Second), Cause: "value", Value: some(9.0), Reported: some(7.0), Active: true, DesiredReplicas: some(int32(2))}
	held := &inspectv1.Answer{At: before(time.Second), Cause: "hold_silent", Error: "holding the last decision: the query: no series matches: the series went silent under load"}
	const query = `sum(vllm:num_requests_running{namespace="default"})`
	c := canned{
		objects: []*inspectv1.ScaledObject{
			{
				Namespace: "default", Name: "busy", At: before(0), TriggersTotal: 1,
				Triggers: []*inspectv1.Trigger{{
					Metadata: &inspectv1.Metadata{MetricQuery: "vllm:num_requests_running\n  {namespace=\"default\"}", OperationOverTime: "last_one",
						TargetValue: 4, ClampMax: some(7.0), OnMissing: "hold"},
					Evaluated: query, Verdict: "active: 9, clamped to 7, of target 4 a replica -> 2 replicas",
					Now: active, Told: active, Streams: 1, Unread: []string{"zzz"},
					Selectors: []*inspectv1.Selector{{
						Text: `vllm:num_requests_running{namespace="default"}`, Live: 1, Late: 1, Ended: 1,
						Series: []*inspectv1.Series{
							{Labels: map[string]string{"__name__": "vllm:num_requests_running", "pod": "a", "namespace": "default"},
								State: inspectv1.SeriesState_SERIES_STATE_LATE, Value: some(5.0), Age: durationpb.New(100 * time.Second)},
							{Labels: map[string]string{"__name__": "vllm:num_requests_running", "pod": "long-name", "namespace": "default"},
								State: inspectv1.SeriesState_SERIES_STATE_LIVE, Value: some(9.0), Age: durationpb.New(1200 * time.Millisecond)},
						},
					}},
					SelectorsTotal: 2,
					Asked: []*inspectv1.Asked{
						{Rpc: "GetMetricSpec", Count: 12, Last: before(3 * time.Second)},
						{Rpc: "GetMetrics", Count: 24, Last: before(3 * time.Second)},
					},
					Peers: []*inspectv1.Peer{
						{Address: "10.0.0.7", Count: 24, Last: before(3 * time.Second), LastRpc: "GetMetrics"},
						{Address: "fd00::7", Count: 12, Last: before(15 * time.Second), LastRpc: "GetMetricSpec"},
					},
					Transitions: []*inspectv1.Transition{
						{At: before(30 * time.Second), Before: "hold_silent", Cause: "value", Active: true, Value: some(9.0)},
						{At: before(90 * time.Minute), Cause: "hold_silent", Error: held.GetError()},
					},
					Errors: []*inspectv1.Error{{First: before(90 * time.Minute), Last: before(31 * time.Second), Count: 360, Text: held.GetError()}},
				}},
			},
			{
				Namespace: "default", Name: "typo", At: before(0), TriggersTotal: 2,
				Refusal: &inspectv1.Refusal{At: before(time.Minute), Error: `bad trigger metadata: targetValue: "many" is not a number`},
				Triggers: []*inspectv1.Trigger{
					{
						Metadata:  &inspectv1.Metadata{MetricQuery: query, OperationOverTime: "avg", TargetValue: 0.5, ActivationTargetValue: 1, ClampMin: some(1.0), OnMissing: "value", ValueIfNotFound: some(3.0)},
						Evaluated: query, Verdict: "inactive: 0 is not above the activation target 1; no series has ever matched",
						Now: &inspectv1.Answer{Cause: "never_seen", Value: some(0.0), Reported: some(1.0), DesiredReplicas: some(int32(2))},
						Selectors: []*inspectv1.Selector{{Text: `vllm:num_requests_running{namespace="default"}`,
							Misses: []*inspectv1.Miss{{Advice: `no series has namespace="default"; there is "default-eu"`}}}},
						SelectorsTotal: 1,
					},
					{
						Metadata:  &inspectv1.Metadata{MetricQuery: query, OperationOverTime: "last_one", TargetValue: 4, OnMissing: "hold"},
						Evaluated: query, Verdict: "holding: the query: no series matches: the series went silent under load", Now: held, Told: held,
					},
				},
			},
		},
		list: []*inspectv1.ScaledObjectSummary{
			{Namespace: "default", Name: "busy", Triggers: []*inspectv1.TriggerSummary{{Target: 4, Told: active, AskedAt: before(3 * time.Second)}}},
			{Namespace: "default", Name: "held", Triggers: []*inspectv1.TriggerSummary{
				{Target: 4, Told: held, AskedAt: before(time.Second)}, {Target: 2, AskedAt: before(time.Hour)}}},
			{Namespace: "default", Name: "typo", Refusal: &inspectv1.Refusal{At: before(time.Minute), Error: "bad"}},
		},
	}
	server := httptest.NewServer(first(inspectv1.NewInspectServiceHandler(c)))
	t.Cleanup(server.Close)
	t.Setenv("KEDA_OTEL_SCALER_SERVER", server.URL+"/")
}

func first[P, H any](_ P, h H) H { return h }

// TestExplain compares with what a person has found readable; -update writes it.
func TestExplain(t *testing.T) {
	cannedServer(t)
	for name, args := range map[string][]string{
		"list": nil,
		"busy": {"default/busy"},
		"typo": {"default/typo"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Zero(t, run(t.Context(), append([]string{"explain"}, args...), &stdout, &stderr), stderr.String())
			file := "testdata/explain-" + name + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(file, stdout.Bytes(), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), stdout.String())
		})
	}
}

func TestExplainAsJSON(t *testing.T) {
	cannedServer(t)
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"explain", "default/busy", "-o", "json"}, &stdout, &stderr), stderr.String())
	var response inspectv1.GetScaledObjectResponse
	require.NoError(t, protojson.Unmarshal(stdout.Bytes(), &response))
	require.Equal(t, "busy", response.GetScaledObject().GetName())
}

func TestExplainRefuses(t *testing.T) {
	cannedServer(t)
	for _, tc := range []struct {
		args   []string
		stderr string
	}{
		{[]string{"default/bussy"}, "KEDA has asked about:\n  default/busy\n  default/held\n  default/typo\n" +
			"keda-otel-scaler: KEDA has not asked about default/bussy since the server started: is there a ScaledObject of this name with an external trigger to it?\n"},
		{[]string{"busy"}, `keda-otel-scaler: "busy": want namespace/name, for example default/huggingface-fbopt-predictor` + "\n"},
		{[]string{"a/b", "c/d"}, "keda-otel-scaler: want one ScaledObject, not 2 arguments; see keda-otel-scaler explain --help\n"},
		{[]string{"-o", "xml"}, "keda-otel-scaler: --output=xml: want text or json, for example --output=json\n"},
		{[]string{"--series=0"}, "keda-otel-scaler: --series=0: want a number above 0, for example --series=20\n"},
		{[]string{"--server=localhost"}, "keda-otel-scaler: --server=localhost: want a URL, for example --server=http://localhost:9090\n"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 1, run(t.Context(), append([]string{"explain"}, tc.args...), &stdout, &stderr))
		require.Equal(t, tc.stderr, stderr.String())
		require.Empty(t, stdout.String())
	}
	server := httptest.NewServer(nil) // another program
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(t.Context(), []string{"explain", "--server=" + server.URL}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "does not serve the inspect API")
	server.Close()
	stderr.Reset()
	require.Equal(t, 1, run(t.Context(), []string{"explain", "--server=" + server.URL}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "connection refused; --server says where to ask")
}

// TestExplainFromOneWhoHangsUp has connections that break, which connect gives
// one code or another for, and a user who hangs up.
func TestExplainFromOneWhoHangsUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_ = conn.(*net.TCPConn).SetLinger(0) // a reset instead of an end
			_ = conn.Close()
		}
	}))
	defer server.Close()
	args := []string{"explain", "--server=" + server.URL}
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(t.Context(), args, &stdout, &stderr))
	require.Contains(t, stderr.String(), "connection reset by peer; --server says where to ask")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stderr.Reset()
	require.Equal(t, 1, run(ctx, args, &stdout, &stderr))
	require.Contains(t, stderr.String(), "context canceled\n")
}
