// Package tracing sends a span for each question that the product answers: KEDA's
// calls, with what they were told, and the requests of the HTTP API.
//
// It never traces what comes in by OTLP: a span a push would cost more than the
// push. Nor KEDA's streams, which last for hours.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// name is what the spans' scope and, by default, their service are called.
const name = "keda-otel-scaler"

// Options are where spans go.
type Options struct {
	// Endpoint is the URL of an OTLP/gRPC receiver: http without TLS, https with.
	// Headers, certificates, sampler and resource are taken from the variables of
	// OpenTelemetry's specification (OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER,
	// OTEL_SERVICE_NAME and the others).
	Endpoint string
	Version  string // the product's
	Logger   *slog.Logger
}

// Tracer makes spans and sends them.
type Tracer struct {
	provider    *sdktrace.TracerProvider
	tracer      trace.Tracer
	propagation propagation.TraceContext
}

// New fails on settings that can't work. Spans that can't be delivered are
// dropped, and the receiver is tried again with the next.
func New(ctx context.Context, o Options) (*Tracer, error) {
	// Process-wide, as OpenTelemetry has it. It tries every few seconds, so a line
	// a minute is enough.
	quiet := rarely{every: time.Minute, now: time.Now}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if quiet.allows() {
			o.Logger.Warn("spans are lost", "endpoint", o.Endpoint, "error", err)
		}
	}))
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(o.Endpoint),
		// A retry would only hold up the shutdown: there are more spans to come.
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}))
	if err != nil {
		return nil, fmt.Errorf("traces to %s: %w", o.Endpoint, err)
	}
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", name), attribute.String("service.version", o.Version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // last, so that it wins
	)
	if err != nil {
		return nil, fmt.Errorf("resource of traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return &Tracer{provider: provider, tracer: provider.Tracer(name, trace.WithInstrumentationVersion(o.Version))}, nil
}

// Stop sends what there is, until ctx is done.
func (t *Tracer) Stop(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// start begins the span of a request that may have come with one.
func (t *Tracer) start(ctx context.Context, carrier propagation.TextMapCarrier, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	ctx = t.propagation.Extract(ctx, carrier)
	return t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
}
