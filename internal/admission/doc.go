// Package admission answers the Kubernetes API server's question whether a
// ScaledObject may be stored: it reads those triggers that are ours with the
// parser and the compiler that KEDA's calls meet, so that a fault is told to
// whoever applies it, and not to the log.
//
// It refuses only what GetMetricSpec would refuse, knows nothing of data, and
// lets everything through that it does not understand. The few fields of
// admission.k8s.io/v1 that are needed are written down here: k8s.io/api would
// bring more modules than the rest of the program has.
package admission
