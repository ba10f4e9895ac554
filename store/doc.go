// Package store keeps the last minutes of every series in memory.
//
// It owns series, their rings of samples, the label index, staleness, limits,
// watches, and what senders say of a metric. It never parses OTLP, never evaluates
// PromQL and never decides about scaling. Timestamps are milliseconds since the epoch on the store's
// own clock; values are float64 or native histograms.
//
// # Staleness
//
// A series ends in one of two ways. The sender says so (a staleness marker is
// stored), or it falls silent: when no push has arrived for three of the
// series' own push intervals (at least ten seconds, at most the lookback) the
// store's iterators show a staleness marker at that moment, so that every
// evaluator agrees on when a dead pod has left the sum.
//
// # Locks
//
// Store.mu, then Kept.mu, described.mu or a stripe's lock, then index.mu, then
// refs.mu, then Series.mu. overdue.mu is taken with nothing else locked. Appends to known series take one stripe's and the index' locks for
// reading and one Series.mu; those to series that were Held take Series.mu alone.
package store
