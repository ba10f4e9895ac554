// Package kserve holds what keda-otel-scaler render and check say equal to what
// KServe's own code (github.com/kserve/kserve, the version in go.mod) does: its
// component reconcilers run against a fake client, and its validating webhook.
//
// It is a module of its own for KServe's dependencies, and builds the product
// as a program instead of importing it.
package kserve
