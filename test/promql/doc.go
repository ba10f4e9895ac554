// Package promql runs Prometheus' own acceptance scripts, and some of ours, on
// our store with our query path in front.
//
// It is a module of its own, since the scripts' runner needs Prometheus' TSDB.
package promql
