// Package stage is a Kubernetes cluster for tests, of the real programs as far
// as they run without containers: etcd, API server, controller manager and
// scheduler, KEDA's operator and metrics adapter, KServe's controller, real
// Collectors, the product. kwok says of pods what a kubelet would; what a
// kubelet and the OpenTelemetry operator would run in them, Kubelet runs.
//
// Everything has the addresses that it has by default, so a stage needs a
// network of its own: package sandbox.
package stage
