// Package otlpreceiver takes OTLP metrics in over gRPC and HTTP and puts them into
// the store as Prometheus would name them.
//
// It owns the MetricsService, the decoding of its requests, metric and label
// names, temporality, and what the sender is told about points that were not
// stored. It never evaluates a query and keeps no series of its own, only which
// of the store's a sender's bytes stand for.
//
// A request goes one of two ways. The hot path is for what comes with every
// push, numbers and histograms of series that are known by their bytes:
//
//	bytes -> batch (read all, look up all) -> store.Appender
//
// The slow path is for the rest, each step unaware of the one before:
//
//	bytes -> pdata -> walk (translator) -> labels -> store.Appender
//
// It takes as little as it can: a new point, a metric of another type, or a
// request that is malformed or oddly put together. The two are equal in all
// that a sender or a query can see, which FuzzWireAgainstPdata holds them to.
//
// A request that can't be decoded is answered InvalidArgument, or 400, and stores
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
// A stripe of the cache, then an origin in it, then the store's. A request is
// read and translated by one goroutine, which holds none of them meanwhile.
package otlpreceiver
