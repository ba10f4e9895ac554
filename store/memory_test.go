package store

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// BenchmarkMemory prints the live heap of a store per series: six labels as
// KServe's pods have them, twenty series a pod, so many samples each: of whole
// numbers, and of fractions that need all of a float64.
func BenchmarkMemory(b *testing.B) {
	for _, tc := range []struct {
		samples int
		step    float64
	}{{1, 1}, {12, 1}, {24, 1}, {12, 0.1}, {24, 0.1}} {
		b.Run(fmt.Sprintf("samples=%d/step=%v", tc.samples, tc.step), func(b *testing.B) {
			const series = 100_000
			for range b.N {
				before := heap()
				s, c := newStore(b, Options{})
				for i := range tc.samples {
					c.at(float64(5 * i))
					a := s.Appender()
					for n := range series {
						_, err := a.Append(podSeries(n), c.ms.Load(), tc.step*float64(n))
						require.NoError(b, err)
					}
					a.Commit()
				}
				b.ReportMetric(float64(heap()-before)/series, "B/series")
				runtime.KeepAlive(s)
			}
		})
	}
}

func TestSeriesAreSmall(t *testing.T) {
	require.Equal(t, uintptr(112), unsafe.Sizeof(Series{}), "a size class of the allocator")
}

func podSeries(n int) labels.Labels {
	pod := n / 20
	return labels.FromStrings(
		labels.MetricName, fmt.Sprintf("vllm:metric_number_%d", n%20),
		"namespace", fmt.Sprintf("team-%d", pod/100),
		"deployment", fmt.Sprintf("model-%d-predictor", pod/10),
		"pod", fmt.Sprintf("model-%d-predictor-58f9c58b85-%05d", pod/10, pod),
		"model_name", "meta-llama/Llama-3.1-8B-Instruct",
		"engine", "0",
	)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
