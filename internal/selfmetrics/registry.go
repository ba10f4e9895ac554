// Package selfmetrics owns what the program says about itself that belongs to
// no part of it alone: the registry, the build, and what its gRPC servers were
// asked. The store, the receiver and the scaler register their own metrics.
//
// It never labels a metric with anything a peer can choose freely.
package selfmetrics

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry is a registry with the Go runtime, the process and the build.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	return registry
}

func buildInfo() prometheus.Collector {
	build := ReadBuild()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "keda_otel_scaler_build_info",
		Help: "Always 1; the labels say which build runs.",
		ConstLabels: prometheus.Labels{
			"version":   build.Version,
			"revision":  build.Revision,
			"goversion": build.GoVersion,
		},
	})
	gauge.Set(1)
	return gauge
}

// Build says which program this is.
type Build struct {
	Version   string // of the module, "(devel)" outside a tagged build
	Revision  string // of the repository, with "-dirty" if it had changes; "unknown" without VCS stamping
	GoVersion string
}

// ReadBuild reads what the Go toolchain stamped into the binary.
func ReadBuild() Build {
	build := Build{Version: "unknown", Revision: "unknown", GoVersion: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.Version, build.GoVersion = info.Main.Version, info.GoVersion
	dirty := ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			build.Revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			dirty = "-dirty"
		}
	}
	build.Revision += dirty
	return build
}
