package inspect

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestVerdicts goes through every state that a trigger can be in.
func TestVerdicts(t *testing.T) {
	busy := func(r *rig) {
		for range 3 {
			r.push("a", 5)
			r.push("b", 4)
			r.wait(5 * time.Second)
		}
	}
	const other = `sum(other{namespace="default"})`
	for _, tc := range []struct {
		name    string
		warmUp  time.Duration
		md      map[string]string
		data    func(*rig)
		cause   string
		verdict string
	}{
		{name: "value", md: kserve, data: busy, cause: "value", verdict: "active: 9 of target 4 a replica -> 3 replicas"},
		{name: "one replica", md: with(kserve, "targetValue", "9"), data: busy, cause: "value", verdict: "active: 9 of target 9 a replica -> 1 replica"},
		{name: "clamped", md: with(kserve, "clampMax", "5"), data: busy, cause: "value", verdict: "active: 9, clamped to 5, of target 4 a replica -> 2 replicas"},
		{name: "inactive", md: with(kserve, "activationTargetValue", "9"), data: busy, cause: "value", verdict: "inactive: 9 is not above the activation target 9"},
		{name: "negative", md: with(kserve, "metricQuery", kserve["metricQuery"]+" - 18"), data: busy, cause: "value", verdict: "inactive: -9 is not above the activation target 0; the value is negative, which KEDA reads as 0"},
		{name: "filtered", md: with(kserve, "metricQuery", kserve["metricQuery"]+" > 20"), data: busy, cause: "filtered",
			verdict: "inactive: 0 is not above the activation target 0; a comparison in the query removes the value, which counts as 0"},
		{name: "never seen", md: with(kserve, "metricQuery", other), data: busy, cause: "never_seen",
			verdict: "inactive: 0 is not above the activation target 0; no series has ever matched"},
		{name: "silent and idle", md: kserve, data: func(r *rig) { busy(r); r.push("a", 0); r.push("b", 0); r.wait(time.Minute) }, cause: "silent_inactive",
			verdict: "inactive: 0 is not above the activation target 0; all series are silent, and there was no load"},
		{name: "silent under load", md: kserve, data: func(r *rig) { busy(r); r.wait(time.Minute) }, cause: "partial_loss",
			verdict: "active: 9 of target 4 a replica -> 3 replicas; the value includes series that are lost, as far as their load has not moved; " +
				"2 series with load went silent or were ended"},
		{name: "partly silent", md: kserve, data: func(r *rig) {
			busy(r)
			for range 3 {
				r.wait(5 * time.Second)
				r.push("a", 1)
			}
		}, cause: "partial_loss",
			verdict: "active: 5 of target 4 a replica -> 2 replicas; the value includes series that are lost, as far as their load has not moved; " +
				"1 series with load went silent or were ended"},
		{name: "warming up", warmUp: time.Hour, md: kserve, data: func(*rig) {}, cause: "hold_warmup",
			verdict: "holding: the query: the scaler waits until 2023-11-14T23:13:20Z for the senders to come back; the query has no value so far"},
		{name: "restored", warmUp: time.Hour, md: kserve, data: func(r *rig) {
			busy(r)
			r.scaler.Restored(time.UnixMilli(r.ms.Load()), 0)
			r.wait(time.Second)
			r.push("a", 5)
			r.push("b", 4)
		}, cause: "value", verdict: "active: 9 of target 4 a replica -> 3 replicas"},
		{name: "an operand that adds is missing", md: with(kserve, "metricQuery", kserve["metricQuery"]+" + "+other), data: busy, cause: "missing_operand",
			verdict: `active: 9 of target 4 a replica -> 3 replicas; no series matches other{namespace="default"}, which counts as nothing: the value is a lower bound`},
		{name: "another operand is missing", md: with(kserve, "metricQuery", kserve["metricQuery"]+" / "+other), data: busy, cause: "hold_operand",
			verdict: `holding: the query: no series matches other{namespace="default"}, and without it the query has no value`},
		{name: "the window is not covered", md: with(kserve, "metricQuery", `sum(rate(vllm:num_requests_running[1m]))`), data: func(r *rig) {
			for range 20 {
				r.push("a", float64(r.ms.Load()/1000%1000))
				r.wait(5 * time.Second)
			}
			r.poll("model", with(kserve, "metricQuery", `sum(rate(vllm:num_requests_running[1m]))`))
			r.wait(time.Minute)
			r.push("a", float64(r.ms.Load()/1000%1000))
		}, cause: "partial_window", verdict: "active: 1 of target 4 a replica -> 1 replica; the last complete value, until data covers the window"},
		{name: "too old", md: kserve, data: func(r *rig) {
			a := r.store.Appender()
			_, err := a.Append(labels.FromStrings(labels.MetricName, "vllm:num_requests_running", "namespace", "default", "deployment", "huggingface-fbopt-predictor"), r.ms.Load()-time.Hour.Milliseconds(), 1)
			require.ErrorIs(r.t, err, store.ErrTooOld)
		}, cause: "hold_too_old", verdict: "holding: the query: no series matches, but samples are too old: the store rejects samples of vllm:num_requests_running{"},
		{name: "too few", md: with(kserve, "metricQuery", `sum(rate(vllm:num_requests_running[1m]))`), data: func(r *rig) { r.push("a", 1) }, cause: "hold_insufficient_samples",
			verdict: "holding: the query: "},
		{name: "not finite", md: with(kserve, "metricQuery", `vector(1) / 0`), data: busy, cause: "hold_failed", verdict: "holding: the result is not one finite number: the query is +Inf: its divisor 0 is 0"},
		{name: "too large", md: with(kserve, "metricQuery", `vector(1e17)`), data: busy, cause: "hold_failed", verdict: "holding: the result is not one finite number that the HPA can count: the query is 1e+17"},
		{name: "onMissing", md: with(kserve, "metricQuery", other, "onMissing", "value", "valueIfNotFound", "3"), data: busy, cause: "on_missing",
			verdict: "active: 3 of target 4 a replica -> 1 replica; there is no data, and onMissing says what that means"},
		{name: "onMissing error", md: with(kserve, "metricQuery", other, "onMissing", "error"), data: busy, cause: "on_missing",
			verdict: "holding: the query: no series matches (onMissing: error)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, scaler.Options{WarmUp: tc.warmUp})
			tc.data(r)
			r.poll("model", tc.md)
			got := r.trigger("model")
			require.Equal(t, tc.cause, got.GetNow().GetCause())
			require.True(t, strings.HasPrefix(got.GetVerdict(), tc.verdict), got.GetVerdict())
			require.Equal(t, strings.HasPrefix(tc.verdict, "holding"), got.GetNow().GetError() != "")
			require.Equal(t, got.GetNow().GetError() == "", got.GetNow().Value != nil)
			if tc.name != "too large" { // which is active although KEDA holds
				require.Equal(t, strings.HasPrefix(tc.verdict, "active"), got.GetNow().GetActive())
			}
			require.GreaterOrEqual(t, got.GetNow().GetDesiredReplicas(), int32(0))
			if tc.name != "too large" { // which is a value until it is to be put into KEDA's message
				require.Equal(t, got.GetNow().GetCause(), got.GetTold().GetCause(), "what it would be told is what it was told")
				require.Equal(t, got.GetNow().GetError(), got.GetTold().GetError())
			}
		})
	}
}

func TestWhatIsTold(t *testing.T) {
	r := newRig(t, scaler.Options{})
	for range 3 {
		r.push("a", 5)
		r.push("b", 4)
		r.wait(5 * time.Second)
	}
	r.poll("model", with(kserve, "metricQuery", `vllm:num_requests_running{deployment="huggingface-fbopt-predictor"}`, "clampMax", "7", "zzz", "1"))
	r.wait(15 * time.Second)
	r.push("b", 16) // makes up for what is lost
	o := r.get("model")
	require.Equal(t, "default", o.GetNamespace())
	require.Equal(t, r.ms.Load(), o.GetAt().AsTime().UnixMilli())
	tr := o.GetTriggers()[0]
	require.Equal(t, `sum(vllm:num_requests_running{deployment="huggingface-fbopt-predictor"})`, tr.GetEvaluated())
	require.InDelta(t, 16, tr.GetNow().GetValue(), 0)
	require.InDelta(t, 9, tr.GetTold().GetValue(), 0)
	require.InDelta(t, 7, tr.GetTold().GetReported(), 0)
	require.EqualValues(t, 2, tr.GetTold().GetDesiredReplicas())
	require.Equal(t, []string{"zzz"}, tr.GetUnread())
	require.Equal(t, "last_one", tr.GetMetadata().GetOperationOverTime())
	require.InDelta(t, 7, tr.GetMetadata().GetClampMax(), 0)
	require.Nil(t, tr.GetMetadata().ClampMin)

	require.Len(t, tr.GetSelectors(), 1)
	s := tr.GetSelectors()[0]
	require.EqualValues(t, []int32{1, 1, 0}, []int32{s.GetLive(), s.GetLate(), s.GetEnded()})
	require.Len(t, s.GetSeries(), 2)
	late, live := s.GetSeries()[0], s.GetSeries()[1]
	require.Equal(t, inspectv1.SeriesState_SERIES_STATE_LATE, late.GetState())
	require.Equal(t, "a", late.GetLabels()["pod"])
	require.Equal(t, 20*time.Second, late.GetAge().AsDuration())
	require.InDelta(t, 5, late.GetValue(), 0)
	require.Equal(t, inspectv1.SeriesState_SERIES_STATE_LIVE, live.GetState())
	require.InDelta(t, 16, live.GetValue(), 0)
	require.Zero(t, live.GetAge().AsDuration())

	asked := map[string]int32{}
	for _, a := range tr.GetAsked() {
		asked[a.GetRpc()] = a.GetCount()
		require.Equal(t, r.ms.Load()-15_000, a.GetLast().AsTime().UnixMilli())
	}
	require.Equal(t, map[string]int32{"GetMetricSpec": 1, "GetMetrics": 1, "IsActive": 1}, asked)
	require.Len(t, tr.GetPeers(), 1)
	require.Equal(t, "10.0.0.7", tr.GetPeers()[0].GetAddress())
	require.EqualValues(t, 3, tr.GetPeers()[0].GetCount())
	require.Equal(t, "IsActive", tr.GetPeers()[0].GetLastRpc())
	require.Equal(t, r.ms.Load()-15_000, tr.GetPeers()[0].GetLast().AsTime().UnixMilli())

	require.Len(t, tr.GetTransitions(), 1)
	require.Equal(t, "value", tr.GetTransitions()[0].GetCause())
}

func TestSeriesAreBounded(t *testing.T) {
	r := newRig(t, scaler.Options{})
	for i := range 1100 {
		r.push(fmt.Sprint(i), 1)
	}
	r.poll("model", kserve)
	for limit, want := range map[int32]int{0: defaultSeries, 3: 3, 1 << 30: most} {
		response, err := r.client.GetScaledObject(t.Context(), &inspectv1.GetScaledObjectRequest{Namespace: "default", Name: "model", SeriesLimit: limit})
		require.NoError(t, err)
		s := response.GetScaledObject().GetTriggers()[0].GetSelectors()[0]
		require.EqualValues(t, 1100, s.GetLive())
		require.Len(t, s.GetSeries(), want)
	}
}

func TestNearMissIsExplained(t *testing.T) {
	r := newRig(t, scaler.Options{})
	r.push("a", 5)
	r.poll("model", with(kserve, "metricQuery", `sum(vllm:num_requests_running{namespace="default", deployment="fbopt"})`))
	misses := r.trigger("model").GetSelectors()[0].GetMisses()
	require.Len(t, misses, 1)
	require.Equal(t, `deployment="fbopt"`, misses[0].GetMatcher())
	require.EqualValues(t, 1, misses[0].GetOthers())
	require.Equal(t, []string{"huggingface-fbopt-predictor"}, misses[0].GetNear())
	require.Equal(t, `no series has deployment="fbopt"; there is "huggingface-fbopt-predictor"`, misses[0].GetAdvice())
}

func TestRefusedMetadataIsShownUntilItIsMended(t *testing.T) {
	r := newRig(t, scaler.Options{})
	r.poll("model", with(kserve, "targetValue", "many"))
	o := r.get("model")
	require.Empty(t, o.GetTriggers())
	require.Contains(t, o.GetRefusal().GetError(), `targetValue: "many" is not a number`)
	r.wait(time.Second)
	r.poll("model", kserve)
	require.Nil(t, r.get("model").GetRefusal())
	list, err := r.client.ListScaledObjects(t.Context(), &inspectv1.ListScaledObjectsRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetScaledObjects(), 1)
}

func TestLists(t *testing.T) {
	r := newRig(t, scaler.Options{})
	r.push("a", 5)
	for i := range 5 {
		r.poll(fmt.Sprint("model", i), kserve)
	}
	var names []string
	token := ""
	for range 3 {
		list, err := r.client.ListScaledObjects(t.Context(), &inspectv1.ListScaledObjectsRequest{Namespace: "default", PageSize: 2, PageToken: token})
		require.NoError(t, err)
		require.EqualValues(t, 5, list.GetTotal())
		for _, o := range list.GetScaledObjects() {
			names = append(names, o.GetName())
			require.InDelta(t, 5, o.GetTriggers()[0].GetTold().GetValue(), 0)
		}
		token = list.GetNextPageToken()
	}
	require.Equal(t, []string{"model0", "model1", "model2", "model3", "model4"}, names)
	require.Empty(t, token)
	none, err := r.client.ListScaledObjects(t.Context(), &inspectv1.ListScaledObjectsRequest{Namespace: "other"})
	require.NoError(t, err)
	require.Empty(t, none.GetScaledObjects())
	metrics, err := r.client.ListMetrics(t.Context(), &inspectv1.ListMetricsRequest{Contains: "vllm"})
	require.NoError(t, err)
	require.Len(t, metrics.GetMetrics(), 1)
	require.Equal(t, "vllm:num_requests_running", metrics.GetMetrics()[0].GetName())
	require.EqualValues(t, 1, metrics.GetMetrics()[0].GetSeries())
	_, err = r.client.ListMetrics(t.Context(), &inspectv1.ListMetricsRequest{PageSize: -1})
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
}

// TestJSON asks with nothing but net/http.
func TestJSON(t *testing.T) {
	r := newRig(t, scaler.Options{})
	r.push("a", 5)
	r.poll("model", kserve)
	for _, tc := range []struct {
		method, body string
		code         int
		want         string
	}{
		{"GetScaledObject", `{"namespace":"default","name":"model"}`, 200, `"verdict":"active: 5 of target 4 a replica -> 2 replicas"`},
		{"ListScaledObjects", `{}`, 200, `"name":"model"`},
		{"ListMetrics", `{}`, 200, `"name":"vllm:num_requests_running"`},
		{"GetScaledObject", `{"namespace":"default","name":"other"}`, 404, `KEDA has not asked about this ScaledObject: default/other`},
		{"GetScaledObject", `{}`, 400, `the request names no ScaledObject`},
		{"GetScaledObject", `{"namespace":"a","name":"b","seriesLimit":-1}`, 400, `series_limit is -1`},
		{"GetScaledObject", `{`, 400, `invalid_argument`},
		{"GetScaledObject", `{"name":"` + strings.Repeat("x", maxRequest) + `"}`, 429, `resource_exhausted`},
		{"DropEverything", `{}`, 404, ``},
	} {
		response, err := http.Post(r.url+"/keda_otel_scaler.inspect.v1.InspectService/"+tc.method, "application/json", strings.NewReader(tc.body))
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, tc.code, response.StatusCode, "%s", body)
		require.Contains(t, strings.ReplaceAll(string(body), `": "`, `":"`), tc.want)
	}
}

// TestWatch: the state when it opens, then changes, which data drive; and an end
// that is none of the peer's fault.
func TestWatch(t *testing.T) {
	t.Run("judged by the pushes", func(t *testing.T) { testWatch(t, kserve) })
	t.Run("left to the engine", func(t *testing.T) { testWatch(t, with(kserve, "metricQuery", kserve["metricQuery"]+" + 0")) })
}

func testWatch(t *testing.T, md map[string]string) {
	r := newRig(t, scaler.Options{})
	r.runs()
	r.poll("model", md)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watch, err := r.client.WatchScaledObject(ctx, &inspectv1.WatchScaledObjectRequest{Namespace: "default", Name: "model"})
	require.NoError(t, err)
	defer func() { _ = watch.Close() }()
	require.Equal(t, "never_seen", next(ctx, t, watch).GetNow().GetCause())
	for v := 1; v <= 3; v++ {
		r.wait(time.Second)
		r.push("a", float64(v))
		require.InDelta(t, v, next(ctx, t, watch).GetNow().GetValue(), 0)
	}
	r.wait(time.Second)
	r.push("a", 3) // no news
	r.poll("model", with(md, "targetValue", "1"))
	tr := next(ctx, t, watch)
	require.InDelta(t, 1, tr.GetMetadata().GetTargetValue(), 0)
	require.EqualValues(t, 3, tr.GetNow().GetDesiredReplicas())
	r.wait(10 * time.Minute)
	r.store.Sweep()
	require.Equal(t, "hold_silent", next(ctx, t, watch).GetNow().GetCause())
	r.scaler.Stop()
	require.False(t, watch.Receive())
	require.NoError(t, watch.Err())
}

func TestWatchesAreBounded(t *testing.T) {
	r := newRig(t, scaler.Options{})
	r.poll("model", kserve)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	open := func(ctx context.Context) (*connect.ServerStreamForClient[inspectv1.WatchScaledObjectResponse], error) {
		watch, err := r.client.WatchScaledObject(ctx, &inspectv1.WatchScaledObjectRequest{Namespace: "default", Name: "model"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = watch.Close() })
		if !watch.Receive() {
			return watch, watch.Err()
		}
		return watch, nil
	}
	first, leave := context.WithCancel(ctx)
	defer leave()
	_, err := open(first)
	require.NoError(t, err)
	for range maxWatches - 1 {
		_, err := open(ctx)
		require.NoError(t, err)
	}
	_, err = open(ctx)
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
	leave()
	require.Eventually(t, func() bool {
		_, err := open(ctx)
		return err == nil
	}, time.Minute, time.Millisecond, "one that ends makes room")
	unknown, err := r.client.WatchScaledObject(ctx, &inspectv1.WatchScaledObjectRequest{Namespace: "default"})
	require.NoError(t, err)
	require.False(t, unknown.Receive())
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(unknown.Err()))
	require.NoError(t, unknown.Close())
}
