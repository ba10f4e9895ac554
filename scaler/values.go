package scaler

import (
	"fmt"
	"math"
	"strings"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// maxValue is where KEDA's count in thousandths leaves int64.
const maxValue = math.MaxInt64 / 1000

// spec returns the trigger's only metric with its target. KEDA takes the float
// if it is positive; the integer, rounded up, is for those that don't know it.
func (t *trigger) spec(metric string) *pb.GetMetricSpecResponse {
	return &pb.GetMetricSpecResponse{MetricSpecs: []*pb.MetricSpec{{
		MetricName:      metric,
		TargetSize:      int64(math.Ceil(min(t.target, maxValue))),
		TargetSizeFloat: t.target,
	}}}
}

// noName is the metric's name if the query has none.
const noName = "promql"

// metricName is the metric's name in the HPA, where it stands in a URL's path.
// plan is nil if the query is not valid.
func metricName(plan *query.Plan) string {
	if plan == nil {
		return noName
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == ':', r == '-', r == '.':
			return r
		}
		return '-'
	}, plan.Metric())
	if name == "" {
		return noName
	}
	return name
}

// reported returns a value as KEDA gets it: clamped, and 0 if it is negative,
// which is what KEDA would make of it.
func (t *trigger) reported(v float64) float64 { return max(t.clamp(v), 0) }

// metricValue returns a value as KEDA gets it.
func (t *trigger) metricValue(v float64, plan *query.Plan) (*pb.MetricValue, error) {
	v = t.reported(v)
	if v > maxValue {
		return nil, fmt.Errorf("%w that the HPA can count: %s is %v; divide it, and targetValue, by a power of ten", query.ErrNotOneNumber, plan, v)
	}
	return &pb.MetricValue{MetricValue: int64(math.Ceil(v)), MetricValueFloat: v}, nil
}
