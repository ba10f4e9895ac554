package scaler

import (
	"cmp"
	"fmt"
	"math"
	"regexp"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// maxValue is where KEDA's count in thousandths leaves int64.
const maxValue = math.MaxInt64 / 1000

// spec returns the trigger's only metric with its target. KEDA takes the float
// if it is positive; the integer, rounded up, is for those that don't know it.
func (t *Metadata) spec(metric string) *pb.GetMetricSpecResponse {
	return &pb.GetMetricSpecResponse{MetricSpecs: []*pb.MetricSpec{{
		MetricName:      metric,
		TargetSize:      int64(math.Ceil(min(t.Target, maxValue))),
		TargetSizeFloat: t.Target,
	}}}
}

// noName is the metric's name if the query has none.
const noName = "promql"

// notInNames are the characters that a metric's name must not have.
var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_:.-]`)

// metricName is the metric's name in the HPA, where it stands in a URL's path.
func metricName(plan *query.Plan) string {
	return cmp.Or(notInNames.ReplaceAllLiteralString(plan.Metric(), "-"), noName)
}

// reported returns a value as KEDA gets it: clamped, and 0 if it is negative,
// which is what KEDA would make of it.
func (t *Metadata) reported(v float64) float64 { return max(t.clamp(v), 0) }

// metricValue returns a decision's value as KEDA gets it.
func (t *Metadata) metricValue(d *decision, plan *query.Plan) (*pb.MetricValue, error) {
	if d.err != nil {
		return nil, d.err
	}
	v := t.reported(d.value)
	if v > maxValue {
		return nil, fmt.Errorf("%w that the HPA can count: %s is %v; divide it, and targetValue, by a power of ten", query.ErrNotOneNumber, plan, v)
	}
	return &pb.MetricValue{MetricValue: int64(math.Ceil(v)), MetricValueFloat: v}, nil
}
