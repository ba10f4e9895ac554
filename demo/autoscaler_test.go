package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAutoscalerIsTheHPAsArithmetic(t *testing.T) {
	for name, c := range map[string]struct {
		replicas      int
		value, target float64
		want          int
	}{
		"idle stays at the minimum":         {1, 0, 4, 1},
		"one over the target needs another": {1, 5, 4, 2},
		"exactly on target":                 {3, 12, 4, 3},
		"ten per cent over is tolerated":    {5, 21.9, 4, 5},
		"ten per cent over, fewer pods":     {2, 8.8, 4, 2},
		"more than that is not":             {2, 8.9, 4, 3},
		"up in one step":                    {1, 17, 4, 5},
		"never above the maximum":           {1, 1e300, 4, 5},
		"thousandths, not floats":           {1, 0.3, 0.1, 3},
	} {
		hpa := autoscaler{min: 1, max: 5, replicas: c.replicas}
		assert.Equal(t, c.want, hpa.observe(c.value, c.target), name)
	}
	hpa := autoscaler{min: 1, max: 50, replicas: 1}
	assert.Equal(t, 11, hpa.observe(1.1, 0.1), "1.1/0.1 is a little more than 11 in floats")
}

func TestAutoscalerComesDownAfterTheWindow(t *testing.T) {
	hpa := autoscaler{min: 1, max: 5, replicas: 1}
	var got []int
	for _, value := range []float64{18, 4, 4, 12, 4, 4, 4, 4, 4, 0} {
		got = append(got, hpa.observe(value, 4))
	}
	assert.Equal(t, []int{5, 5, 5, 5, 5, 3, 3, 3, 1, 1}, got)
}
