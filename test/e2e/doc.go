// Package e2e plays the built product against real peers over loopback: an
// OpenTelemetry Collector with the configuration KServe's controller renders on
// one side, KEDA's own external scaler client on the other.
//
// It owns the scenarios. It never imports the product: the binary and its
// sockets are the interface, and KEDA's dependency versions would collide with
// the product's. The packages beside it start the peers and know nothing of
// the scenarios.
package e2e
