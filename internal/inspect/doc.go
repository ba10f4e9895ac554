// Package inspect serves the inspect API (proto/inspect/v1) over gRPC, gRPC-Web
// and JSON on one HTTP handler: why a ScaledObject was, or was not, scaled.
//
// It puts what packages scaler and query tell into messages, and its verdict
// into a sentence. It decides nothing, and nothing that it is asked changes what
// KEDA is told. What it answers is bounded: objects a page, series a selector,
// requests at a time, open watches.
package inspect
