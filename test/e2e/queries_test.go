package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/modelserver"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
)

// window is the range of the page's rates, and so the time it takes until the
// counters' whole window is filled.
const window = 30 * time.Second

// TestQueries reads counters, rates and percentiles of two pods, beside a pod
// of the same name in another namespace that must never count.
func TestQueries(t *testing.T) {
	t.Parallel()
	const namespace, other = "queries", "queries-other"
	names := []string{
		running, "process_cpu_seconds_total", "vllm:e2e_request_latency_seconds", "vllm:generation_tokens_total",
		"vllm:iteration_tokens_total", "vllm:kv_cache_usage_perc", "vllm:prompt_tokens_total",
		"vllm:request_success_total", "vllm:time_to_first_token_seconds",
	}
	s := startScaler(t)
	pods := s.startPods(t, namespace, 2, names...)
	stranger := s.startPods(t, other, 1, names...)[0]

	// Without a rate of its own a counter stays where Update puts it.
	for i, p := range pods {
		p.Update(func(l *modelserver.Load, totals *modelserver.Totals) {
			*l = modelserver.Load{
				Running: 4, GenerationTokens: 100 / float64(i+1), KVCacheUsage: 0.25,
				Requests: 20, TimeToFirstToken: 0.3, E2ELatency: 4,
			}
			totals.PromptTokens, totals.CPUSeconds = 1000*float64(i+1), 12.5+float64(i)
		})
	}
	stranger.Update(func(l *modelserver.Load, totals *modelserver.Totals) {
		*l = modelserver.Load{Running: 100, GenerationTokens: 5000, Requests: 50, TimeToFirstToken: 7, E2ELatency: 30}
		totals.PromptTokens, totals.CPUSeconds = 70000, 900
	})

	selector := fmt.Sprintf("{namespace=%q, deployment=%q}", namespace, component)
	quantile := "histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket%s[10s])))"
	for _, test := range []struct {
		name, query, target string
		want, delta         float64
	}{
		{"a gauge", wrapped(running, namespace), "4", 8, 0},
		{"a raw counter", wrapped("vllm:prompt_tokens_total", namespace), "100", 3000, 0},
		{"KServe's own test: CPU seconds with target 8", wrapped("process_cpu_seconds_total", namespace), "8", 26, 0},
		{"a maximum over the pods", "max(vllm:kv_cache_usage_perc" + selector + ")", "0.8", 0.25, 0},
		{"a rate", "sum(rate(vllm:generation_tokens_total" + selector + "[10s]))", "100", 150, 15},
		{"a rate of a histogram's count", "sum(rate(vllm:e2e_request_latency_seconds_count" + selector + "[10s]))", "10", 40, 6},
		{"a mean from a histogram named like a counter", fmt.Sprintf(
			"sum(rate(vllm:iteration_tokens_total_sum%[1]s[10s])) / sum(rate(vllm:iteration_tokens_total_count%[1]s[10s]))", selector), "8", 4, 0.5},
		// All observations are in one bucket, (0.25, 0.5], so its end does not depend on the rate.
		{"a percentile", fmt.Sprintf(quantile, selector), "0.5", 0.4875, 0.001},
		{"KServe's wrapping around a rate", wrapped("rate(vllm:generation_tokens_total["+window.String()+"])", namespace), "100", 150, 10},
		{"KServe's wrapping around a selector", wrapped(`vllm:prompt_tokens_total{engine="0"}`, namespace), "100", 3000, 0},
		{"KServe's wrapping around a percentile", wrapped(fmt.Sprintf(quantile, ""), namespace), "0.5", 0.4875, 0.001},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := s.consume(t, namespace, test.query, test.target)
			c.becomes(t, appears+window, reading{test.want, true}, test.delta)
		})
	}
}

// TestModelServerRestarts lets one of two counters begin again at zero.
func TestModelServerRestarts(t *testing.T) {
	t.Parallel()
	const namespace, tokens = "restart", "vllm:generation_tokens_total"
	s := startScaler(t)
	pods := s.startPods(t, namespace, 2, tokens)
	load := modelserver.Load{Running: 1, GenerationTokens: 100}
	pods[0].Set(load)
	pods[1].Set(load)
	total := s.consume(t, namespace, wrapped(tokens, namespace), "100")
	rate := s.consume(t, namespace, wrapped("rate("+tokens+"[10s])", namespace), "100")
	// Until the window has nothing but scrapes, one and the zero that the counter
	// began with are a rate, and then too few.
	poll.Until(t, appears, func(ctx context.Context) error {
		sum, err := total.read(ctx)
		if err == nil && sum.value < 12*200 {
			err = fmt.Errorf("%v tokens so far", sum.value)
		}
		return err
	})
	rate.becomes(t, follows, reading{200, true}, 20)
	before, err := total.read(t.Context())
	require.NoError(t, err)
	pods[0].Stop(t)
	// The marker takes one counter out of the sum, after three push intervals in which
	// it may have been a failed scrape; the other goes on. Until then the sum is no less
	// than when the counter that ended was pushed last, which was up to a scrape before
	// that of the other.
	sensible, ended := between(0, 230), time.Now()
	total.becomes(t, follows, reading{before.value / 2, true}, before.value/4, func(got reading, err error) error {
		if err == nil && time.Since(ended) < 2*time.Second && got.value < before.value-2*100 {
			return fmt.Errorf("%v after the marker, %v before", got.value, before.value)
		}
		return err
	})
	rate.becomes(t, 2*follows, reading{100, true}, 60, sensible)
	pods[0].Restart(t)
	pods[0].Set(load)
	// As many requests per second as before: one window later the rate is too,
	// and at no moment did the reset read as a negative or a huge increase.
	rate.becomes(t, follows+window, reading{200, true}, 20, sensible)
}
