package modelserver

import "sort"

// The upper bounds vLLM's v1 engine gives its histograms.
var (
	timeToFirstTokenBounds = []float64{
		0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
		1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
	}
	latencyBounds = []float64{
		0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30,
		40, 50, 60, 120, 240, 480, 960, 1920, 7680,
	}
	stepBounds = []float64{
		1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
	}
)

// histogram counts in fractions, because the load is a rate; the exposition
// rounds down to whole observations.
type histogram struct {
	bounds []float64
	counts []float64 // one more than bounds, not cumulative
	sum    float64
}

func newHistogram(bounds []float64) histogram {
	return histogram{bounds: bounds, counts: make([]float64, len(bounds)+1)}
}

// observe records n observations of value.
func (h *histogram) observe(value, n float64) {
	h.counts[sort.SearchFloat64s(h.bounds, value)] += n
	h.sum += value * n
}
