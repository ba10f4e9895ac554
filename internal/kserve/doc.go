// Package kserve makes of an InferenceService what KServe's controller (v0.17.0)
// makes of it for KEDA and the OpenTelemetry operator: the ScaledObject and the
// OpenTelemetryCollector of each component, without a cluster. test/kserve holds
// it equal to KServe's own code.
//
// It renders what is written, right or wrong, as the controller would; package
// check says what is wrong. What only a cluster knows is not in the result: the
// labels and annotations of the ServingRuntime, and those that KServe adds for
// loggers, batchers and storage credentials, which nothing that scales reads.
package kserve
