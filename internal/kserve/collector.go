package kserve

// Sidecar is an OpenTelemetryCollector, which the OpenTelemetry operator puts
// into the pods that ask for it.
type Sidecar struct {
	APIVersion string      `yaml:"apiVersion"`
	Kind       string      `yaml:"kind"`
	Metadata   Meta        `yaml:"metadata"`
	Spec       SidecarSpec `yaml:"spec"`
}

// SidecarSpec is what the operator runs.
type SidecarSpec struct {
	Mode      string                       `yaml:"mode"`
	Resources map[string]map[string]string `yaml:"resources,omitempty"`
	Config    map[string]any               `yaml:"config"`
}

// sidecar scrapes the pod that it is in, says on each point whose it is, and
// sends the metrics of these names.
func sidecar(meta Meta, names []string, c CollectorConfig) *Sidecar {
	port, ok := meta.Annotations[PortAnnotation]
	if !ok {
		port = "8080"
	}
	meta.Labels = nil // KServe gives it none
	type m = map[string]any
	return &Sidecar{
		APIVersion: "opentelemetry.io/v1beta1",
		Kind:       "OpenTelemetryCollector",
		Metadata:   meta,
		Spec: SidecarSpec{
			Mode:      "sidecar",
			Resources: c.Resource.requirements(),
			Config: m{
				"receivers": m{"prometheus": m{"config": m{"scrape_configs": []m{{
					"job_name":        "otel-collector",
					"scrape_interval": c.ScrapeInterval,
					"static_configs":  []m{{"targets": []string{"localhost:" + port}}},
				}}}}},
				"processors": m{
					"resourcedetection/env": m{"detectors": []string{"env"}, "override": false, "timeout": "2s"},
					"transform": m{"metric_statements": []m{{
						"context": "datapoint",
						"statements": []string{
							`set(attributes["namespace"], resource.attributes["k8s.namespace.name"])`,
							`set(attributes["deployment"], resource.attributes["k8s.deployment.name"])`,
							`set(attributes["pod"], resource.attributes["k8s.pod.name"])`,
						},
					}}},
					"filter/metrics": m{"metrics": m{"include": m{"match_type": "strict", "metric_names": names}}},
				},
				"exporters": m{"otlp": m{
					"compression": "none", "endpoint": c.MetricReceiverEndpoint, "tls": m{"insecure": true},
				}},
				"service": m{"pipelines": m{"metrics": m{
					"receivers":  []string{"prometheus"},
					"processors": []string{"resourcedetection/env", "transform", "filter/metrics"},
					"exporters":  []string{"otlp"},
				}}},
			},
		},
	}
}

func (c ResourceConfig) requirements() map[string]map[string]string {
	all := make(map[string]map[string]string)
	for _, r := range []struct{ part, name, quantity string }{
		{"requests", "cpu", c.CPURequest}, {"requests", "memory", c.MemoryRequest},
		{"limits", "cpu", c.CPULimit}, {"limits", "memory", c.MemoryLimit},
	} {
		if r.quantity == "" {
			continue
		}
		if all[r.part] == nil {
			all[r.part] = make(map[string]string)
		}
		all[r.part][r.name] = r.quantity
	}
	return all
}
