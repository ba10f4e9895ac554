// Package otlpreceiver takes OTLP metrics in over gRPC and puts them into the
// store as Prometheus would name them.
//
// It owns the MetricsService, the decoding of its requests, metric and label
// names, temporality, and what the sender is told about points that were not
// stored. It never evaluates a query and keeps no series of its own.
//
// A request goes one way through four steps, each unaware of the one before:
//
//	bytes -> decode -> walk (translator) -> labels -> store.Appender
//
// A request that can't be decoded is answered InvalidArgument and stores
// nothing: the sender drops it instead of sending it for ever. A point that
// can't be stored is counted in partial_success, and the rest of its request
// is stored.
//
// # Names
//
// Names are those of Prometheus' UnderscoreEscapingWithoutSuffixes: what is
// not a letter, digit, colon or underscore becomes an underscore, and neither
// unit nor _total is added. Label names follow the defaults of Prometheus'
// otlp section. KServe's own metrics come through as they were scraped.
//
// # Units
//
// Times are milliseconds since the epoch, as in the store; values are float64.
//
// # Locks
//
// None: a request is translated by one goroutine, and the store has its own.
package otlpreceiver
