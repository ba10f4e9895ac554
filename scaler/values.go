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
func (q *question) spec() *pb.GetMetricSpecResponse {
	return &pb.GetMetricSpecResponse{MetricSpecs: []*pb.MetricSpec{{
		MetricName:      q.metricName(),
		TargetSize:      int64(math.Ceil(min(q.trigger.target, maxValue))),
		TargetSizeFloat: q.trigger.target,
	}}}
}

// noName is the metric's name if the query has none.
const noName = "promql"

// metricName is the metric's name in the HPA, where it stands in a URL's path.
func (q *question) metricName() string {
	if q.plan == nil { // it could not be understood
		return noName
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == ':', r == '-', r == '.':
			return r
		}
		return '-'
	}, q.plan.Metric())
	if name == "" {
		return noName
	}
	return name
}

func (q *question) metricValue(v float64) (*pb.MetricValue, error) {
	v = q.trigger.clamp(v)
	if math.Abs(v) > maxValue {
		return nil, fmt.Errorf("%w that the HPA can count: %s is %v; divide it, and targetValue, by a power of ten", query.ErrNotOneNumber, q.plan, v)
	}
	return &pb.MetricValue{MetricValue: int64(math.Ceil(v)), MetricValueFloat: v}, nil
}
