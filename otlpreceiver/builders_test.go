package otlpreceiver

import (
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// at is a time in seconds after start, as OTLP writes it.
func at(s float64) uint64 {
	return uint64(start.Add(time.Duration(s * float64(time.Second))).UnixNano())
}

func resource(attrs []*commonpb.KeyValue, ms ...*mpb.Metric) *mpb.ResourceMetrics {
	return &mpb.ResourceMetrics{
		Resource:     &respb.Resource{Attributes: attrs},
		ScopeMetrics: []*mpb.ScopeMetrics{{Metrics: ms}},
	}
}

// kv makes string attributes of key, value, key, value...
func kv(pairs ...string) []*commonpb.KeyValue {
	var out []*commonpb.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, attr(pairs[i], str(pairs[i+1])))
	}
	return out
}

func attr(k string, v *commonpb.AnyValue) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: k, Value: v}
}

func str(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

// double is a number data point.
func double(s, v float64, attrs ...string) *mpb.NumberDataPoint {
	return &mpb.NumberDataPoint{TimeUnixNano: at(s), Attributes: kv(attrs...), Value: &mpb.NumberDataPoint_AsDouble{AsDouble: v}}
}

// ended is a number data point that says its series is over.
func ended(s float64, attrs ...string) *mpb.NumberDataPoint {
	return &mpb.NumberDataPoint{TimeUnixNano: at(s), Attributes: kv(attrs...), Flags: noValue}
}

const (
	noValue     = uint32(mpb.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)
	delta       = mpb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	cumulative  = mpb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	unspecified = mpb.AggregationTemporality_AGGREGATION_TEMPORALITY_UNSPECIFIED
)

func gaugeOf(name string, ps ...*mpb.NumberDataPoint) *mpb.Metric {
	return &mpb.Metric{Name: name, Data: &mpb.Metric_Gauge{Gauge: &mpb.Gauge{DataPoints: ps}}}
}

func sumOf(name string, tmp mpb.AggregationTemporality, monotonic bool, ps ...*mpb.NumberDataPoint) *mpb.Metric {
	return &mpb.Metric{Name: name, Data: &mpb.Metric_Sum{Sum: &mpb.Sum{AggregationTemporality: tmp, IsMonotonic: monotonic, DataPoints: ps}}}
}

func histogramOf(name string, tmp mpb.AggregationTemporality, ps ...*mpb.HistogramDataPoint) *mpb.Metric {
	return &mpb.Metric{Name: name, Data: &mpb.Metric_Histogram{Histogram: &mpb.Histogram{AggregationTemporality: tmp, DataPoints: ps}}}
}

func exponentialOf(name string, tmp mpb.AggregationTemporality, ps ...*mpb.ExponentialHistogramDataPoint) *mpb.Metric {
	return &mpb.Metric{Name: name, Data: &mpb.Metric_ExponentialHistogram{ExponentialHistogram: &mpb.ExponentialHistogram{AggregationTemporality: tmp, DataPoints: ps}}}
}

func summaryOf(name string, ps ...*mpb.SummaryDataPoint) *mpb.Metric {
	return &mpb.Metric{Name: name, Data: &mpb.Metric_Summary{Summary: &mpb.Summary{DataPoints: ps}}}
}

func ptr[T any](v T) *T { return &v }
