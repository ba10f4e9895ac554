// Package store stores the last minutes of every series in memory.
//
// It owns series with their samples, the label index, staleness, limits, selections,
// and metadata. It never parses OTLP, never evaluates PromQL and never decides about
// scaling. Timestamps are milliseconds since the epoch on the store's own clock; values
// are float64 or native histograms.
//
// # Layout
//
// Data structures that know nothing of a store are in internal: ring (the samples of a
// series) and labelindex (labels in, series out). References between files run from
// snapshots, queriers and selections to the store, then to series, then to these.
//
// # Staleness
//
// A series ends in one of two ways. Its sender ends it (a staleness marker is stored),
// or it becomes late: when no push has arrived for one and a half of the series' own push
// intervals (at least two seconds, at most the lookback) the store's iterators return a
// staleness marker at that moment, so that every evaluator agrees on when a dead pod
// leaves the sum.
//
// # Locks
//
// Store.mu, then rejected.mu or described.mu, then the index' lock, then Series.mu.
// Appends to known series by labels take the index' lock for reading and one Series.mu;
// those to series from Lookup take Series.mu alone.
package store
