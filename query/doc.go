// Package query turns the text of a trigger's metricQuery into one number.
//
// It understands all of PromQL (evaluated by Prometheus' own engine over the
// store, or, for the shapes that scaling is made of, straight from the store's
// rings with the same result to the last bit), otel-add-on's grammar and operationOverTime, and the queries that
// KServe makes by putting a selector behind whatever the user wrote. It says
// why a result is empty, but never decides what that means for scaling: that
// is package scaler's.
//
// Times are Go times on the store's clock; values are float64.
package query
