package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// pushEvery is how often a pod pushes. KServe's sidecar does it every 5 s.
const pushEvery = time.Second

// pod stands in for one vLLM pod and its collector: an SDK of its own, with
// the metrics, resource attributes and labels that KServe's pods arrive with.
type pod struct {
	name             string
	labels           metric.MeasurementOption // KServe's collector puts them on every data point
	running, waiting atomic.Int64

	tokens     metric.Int64Counter
	firstToken metric.Float64Histogram
	provider   *sdkmetric.MeterProvider
	exporter   *podExporter
}

func startPod(ctx context.Context, name, endpoint string, pushes *pushClock) (*pod, error) {
	exporter, err := otlpmetricgrpc.New(ctx,
		otlpmetricgrpc.WithEndpoint(endpoint),
		otlpmetricgrpc.WithInsecure(),
		otlpmetricgrpc.WithTimeout(pushEvery),
		// A late retry would blur what the table shows: the next push is near.
		otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}),
	)
	if err != nil {
		return nil, err
	}
	p := &pod{
		name: name,
		labels: metric.WithAttributes(
			attribute.String("namespace", namespace),
			attribute.String("deployment", deployment),
			attribute.String("pod", name),
		),
		exporter: &podExporter{Exporter: exporter, pushes: pushes},
	}
	p.provider = sdkmetric.NewMeterProvider(
		sdkmetric.WithResource(resource.NewSchemaless(
			attribute.String("k8s.namespace.name", namespace),
			attribute.String("k8s.deployment.name", deployment),
			attribute.String("k8s.pod.name", name),
		)),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(p.exporter, sdkmetric.WithInterval(pushEvery))),
		sdkmetric.WithView(nameAsVLLM),
	)
	if err := p.instrument(p.provider.Meter("vllm")); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func (p *pod) instrument(meter metric.Meter) (err error) {
	gauge := func(name string, value *atomic.Int64) {
		if err == nil {
			_, err = meter.Int64ObservableGauge(name, metric.WithInt64Callback(
				func(_ context.Context, o metric.Int64Observer) error {
					o.Observe(value.Load(), p.labels)
					return nil
				}))
		}
	}
	gauge("vllm.num_requests_running", &p.running)
	gauge("vllm.num_requests_waiting", &p.waiting)
	if err != nil {
		return err
	}
	if p.tokens, err = meter.Int64Counter("vllm.generation_tokens"); err != nil {
		return err
	}
	p.firstToken, err = meter.Float64Histogram("vllm.time_to_first_token_seconds",
		metric.WithExplicitBucketBoundaries(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	return err
}

// nameAsVLLM gives every metric the colon vLLM names it with, which the SDK
// refuses in an instrument's name and accepts in a view's.
func nameAsVLLM(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	return sdkmetric.Stream{
		Name:        strings.Replace(i.Name, "vllm.", "vllm:", 1),
		Description: i.Description,
		Unit:        i.Unit,
	}, true
}

// serve is one second of work: running requests in the batch, waiting in the
// queue, tokens and first tokens in proportion.
func (p *pod) serve(running, waiting int) {
	p.running.Store(int64(running))
	p.waiting.Store(int64(waiting))
	p.tokens.Add(context.Background(), int64(30*running), p.labels)
	for range running {
		p.firstToken.Record(context.Background(), 0.08+0.2*float64(waiting), p.labels)
	}
}

// stop is a pod's orderly end: it has drained, and its last push says so.
func (p *pod) stop(ctx context.Context) error {
	p.serve(0, 0)
	return p.provider.Shutdown(ctx)
}

// kill is a pod's other end: it never pushes again.
func (p *pod) kill() {
	p.exporter.dead.Store(true)
	_ = p.provider.Shutdown(context.Background()) // pushes nothing, only ends its goroutines
}

// pushClock remembers when the newest push of any pod began, in Unix
// nanoseconds: begun is stored as it leaves, landed once it was accepted.
type pushClock struct{ begun, landed atomic.Int64 }

type podExporter struct {
	sdkmetric.Exporter
	pushes *pushClock
	dead   atomic.Bool
}

func (e *podExporter) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	if e.dead.Load() {
		return nil
	}
	now := time.Now().UnixNano()
	e.pushes.begun.Store(now)
	err := e.Exporter.Export(ctx, metrics)
	if err == nil {
		e.pushes.landed.Store(now)
	}
	if e.dead.Load() {
		return nil // cut short by kill
	}
	return err
}
