// Package otlp sends the same OTLP requests to our receiver and to Prometheus'
// own, the Collector's delta-to-cumulative processor included, and compares what
// each stores.
//
// It is a module of its own, since Prometheus' receiver needs much of Prometheus.
package otlp
