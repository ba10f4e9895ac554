package query

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// advise explains a query of one selector.
func (f *fixture) advise(text string) (advice []string) {
	f.t.Helper()
	e, err := f.plan(text, LastOne).Explain(f.t.Context(), 10)
	require.NoError(f.t, err)
	require.Len(f.t, e.Selectors, 1)
	for _, m := range e.Selectors[0].Misses {
		advice = append(advice, m.String())
	}
	return advice
}

func TestAdviceOnNearMisses(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, []string{`no metric is called "running"; nothing is stored yet: has a Collector pushed?`}, f.advise(`running`))
	f.load(`
		vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predictor", pod="a"} 1
		vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predictor", pod="b"} 1
		vllm:num_requests_running{namespace="prod", deployment="llama", pod="c"} 1
		vllm:num_requests_waiting{namespace="prod", deployment="llama", pod="c"} 1
		http_requests_total{job="otel-collector", code="200"} 1
		http_requests_total{job="otel-collector", code="404"} 1
		http_requests_total{job="otel-collector", code="500"} 1
		http_requests_total{job="otel-collector", code="503"} 1`)
	for _, tc := range []struct {
		query string
		want  []string
	}{
		{`vllm:num_requests_running`, nil},
		{`vllm:num_requests_running{namespace="default", deployment="fbopt"}`,
			[]string{`no series has deployment="fbopt"; there is "huggingface-fbopt-predictor"`}},
		{`vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predicter"}`,
			[]string{`no series has deployment="huggingface-fbopt-predicter"; there is "huggingface-fbopt-predictor"`}},
		{`vllm:num_requests_running{namespace="Default"}`,
			[]string{`no series has namespace="Default"; there is "default"`}},
		{`vllm:num_request_running{namespace="default"}`,
			[]string{`no metric is called "vllm:num_request_running"; there is "vllm:num_requests_running"`}},
		{`num_requests`,
			[]string{`no metric is called "num_requests"; near are "vllm:num_requests_running", "vllm:num_requests_waiting"`}},
		// Either of the two could be meant.
		{`vllm:num_requests_running{namespace="default", deployment="llama"}`,
			[]string{`no series has deployment="llama"; there is nothing like it, but for example "huggingface-fbopt-predictor"`,
				`no series has namespace="default"; there is nothing like it, but for example "prod"`}},
		// No single one is to blame.
		{`vllm:num_requests_running{namespace="prod-eu", deployment="lama"}`,
			[]string{`no series has deployment="lama"; there is "llama"`}},
		{`vllm:num_requests_running{model="x"}`,
			[]string{`no series has model="x"; the 3 that match the rest have no such label, but deployment, namespace, pod`}},
		{`http_requests_total{code="999"}`,
			[]string{`no series has code="999"; there is nothing like it, but for example "200", "404", "500"`}},
		{`http_requests_total{code="501"}`,
			[]string{`no series has code="501"; near are "500", "503"`}},
		{`http_requests_total{code=~"3.."}`,
			[]string{`no series has code=~"3.."; there is nothing like it, but for example "200", "404", "500"`}},
		{`http_requests_total{job!="otel-collector"}`,
			[]string{`all 4 series that match the rest have job="otel-collector"`}},
	} {
		require.Equal(t, tc.want, f.advise(tc.query), tc.query)
	}
}

func TestNearestOfSeveral(t *testing.T) {
	for _, tc := range []struct {
		name, asked string
		there       []string
		want        []string
	}{
		{"of those that contain it the shorter", "requests", []string{"http_requests_in_flight_total", "grpc_requests_total", "requests_by_path"},
			[]string{"requests_by_path", "grpc_requests_total", "http_requests_in_flight_total"}},
		{"of those that it contains the longer", "num_requests_running", []string{"num", "num_requests"},
			[]string{"num_requests", "num"}},
		{"one with few other letters before one that contains it", "request", []string{"request_total", "requext"}, []string{"requext", "request_total"}},
		{"asked for in capitals", "PREDICTOR", []string{"encoder", "predictor"}, []string{"predictor"}},
		{"there in capitals", "predictor", []string{"ENCODER", "PREDICTOR"}, []string{"PREDICTOR"}},
		{"a part of it in capitals", "PREDICT", []string{"encoder", "my-predictor-of-all"}, []string{"my-predictor-of-all"}},
	} {
		near, similar := nearest(labels.MustNewMatcher(labels.MatchEqual, "l", tc.asked), tc.there)
		require.True(t, similar, tc.name)
		require.Equal(t, tc.want, near, tc.name)
	}
}

func TestExplanationIsBounded(t *testing.T) {
	f := newFixture(t)
	var script strings.Builder
	for i := range 30 {
		fmt.Fprintf(&script, "m{pod=\"%d\"} 1\n", i)
	}
	f.load(script.String())
	e, err := f.plan("sum(m)"+strings.Repeat(" + sum(m)", 40), LastOne).Explain(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, 41, e.Total)
	require.Len(t, e.Selectors, maxExplained)
	for _, s := range e.Selectors {
		require.Equal(t, 30, s.Live)
		require.Len(t, s.Series, 7)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.plan("sum(m)", LastOne).Explain(ctx, 7)
	require.ErrorIs(t, err, ErrEvaluation)
}

// TestLongValuesAreNotComparedLetterByLetter: what is compared is bounded.
func TestLongValuesAreNotComparedLetterByLetter(t *testing.T) {
	long := strings.Repeat("x", math.MaxUint8)
	m := labels.MustNewMatcher(labels.MatchEqual, "l", long+"y")
	near, similar := nearest(m, []string{"a", long, long + "z"})
	require.True(t, similar)
	require.Equal(t, []string{long}, near, "it is contained; the other would be nearer")
}
