// Package httpapi answers Prometheus' HTTP API, and otel-add-on's, from what
// the store holds.
//
// It owns the parameters, the JSON, the error types and codes, and the limits of
// these requests. It evaluates nothing itself: queries go to the PromQL engine
// it is given, everything else to the queryable under it, so that KEDA's
// prometheus trigger, Grafana and KEDA's external scaler see the same series.
// It never writes to the store.
//
// Three things differ from Prometheus: momentOf defines what a time in whole seconds
// means, a window beyond the retention gets a warning, and under /keda an instant
// query is answered by Options.Decide, whatever its time.
package httpapi
