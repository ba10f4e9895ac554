package kserve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

// The deployment modes. KServe makes ScaledObjects in the standard one only.
const (
	Standard  = "Standard"
	Knative   = "Knative"
	ModelMesh = "ModelMesh"
)

// modeOf gives a mode the name it has now.
func modeOf(name string) string {
	switch name {
	case "RawDeployment":
		return Standard
	case "Serverless":
		return Knative
	}
	return name
}

// configMapName is what KServe reads its settings from.
const configMapName = "inferenceservice-config"

// ErrConfig is wrapped when KServe would not start with a ConfigMap.
var ErrConfig = errors.New("KServe's ConfigMap")

// Config are KServe's settings, as far as they matter to a ScaledObject or a
// Collector.
type Config struct {
	// Namespace is where an InferenceService without one is applied to.
	Namespace string
	// Mode is the deployment mode of an InferenceService that names none.
	Mode string
	// Collector are those of the sidecar.
	Collector CollectorConfig
	// Windows are those of the HPA, where the InferenceService has none.
	Windows WindowConfig
	// disallowed annotations are not handed on.
	disallowed []string
}

// CollectorConfig is the entry opentelemetryCollector of the ConfigMap.
type CollectorConfig struct {
	ScrapeInterval         string         `json:"scrapeInterval"`
	MetricReceiverEndpoint string         `json:"metricReceiverEndpoint"`
	MetricScalerEndpoint   string         `json:"metricScalerEndpoint"`
	Resource               ResourceConfig `json:"resource"`
}

// ResourceConfig are the sidecar's requests and limits.
type ResourceConfig struct {
	CPULimit      string `json:"cpuLimit"`
	MemoryLimit   string `json:"memoryLimit"`
	CPURequest    string `json:"cpuRequest"`
	MemoryRequest string `json:"memoryRequest"`
}

// WindowConfig is the entry autoscaler of the ConfigMap: seconds, as text.
type WindowConfig struct {
	ScaleUp   string `json:"scaleUpStabilizationWindowSeconds"`
	ScaleDown string `json:"scaleDownStabilizationWindowSeconds"`
}

// Defaults returns the settings that KServe is installed with.
func Defaults() Config {
	return Config{
		Namespace: "default",
		Mode:      Knative,
		Collector: CollectorConfig{
			ScrapeInterval:         "5s",
			MetricReceiverEndpoint: "keda-otel-scaler.keda.svc:4317",
			MetricScalerEndpoint:   "keda-otel-scaler.keda.svc:4318",
			Resource:               ResourceConfig{CPULimit: "1", MemoryLimit: "2Gi", CPURequest: "200m", MemoryRequest: "512Mi"},
		},
		Windows:    WindowConfig{ScaleUp: "0", ScaleDown: "300"},
		disallowed: slices.Clone(neverHandedOn),
	}
}

// neverHandedOn are annotations of an InferenceService that KServe keeps to itself.
var neverHandedOn = []string{
	"autoscaling.knative.dev/min-scale",
	"autoscaling.knative.dev/max-scale",
	storageAnnotation,
	"kubectl.kubernetes.io/last-applied-configuration",
	"modelFormat",
}

// ReadConfig reads the settings from KServe's ConfigMap. An entry that it doesn't
// have is empty, as it is for KServe, not the default. The errors wrap ErrConfig.
func ReadConfig(name string, r io.Reader) (Config, error) {
	_, objects, bad, err := manifest.Read(name, r)
	if err == nil && len(bad) > 0 {
		err = fmt.Errorf("%s: %w", bad[0].Position, bad[0].Err)
	}
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	i := slices.IndexFunc(objects, func(o manifest.Object) bool { return o.Kind == "ConfigMap" && o.Name == configMapName })
	if i < 0 {
		return Config{}, fmt.Errorf("%w: %s has none named %s; write it with kubectl get configmap -n kserve %s -o yaml", ErrConfig, name, configMapName, configMapName)
	}
	c := Defaults()
	c.Collector, c.Windows, c.Mode = CollectorConfig{}, WindowConfig{}, ""
	var deploy struct {
		Mode string `json:"defaultDeploymentMode"`
	}
	var services struct {
		Disallowed []string `json:"serviceAnnotationDisallowedList"`
	}
	for key, to := range map[string]any{
		"opentelemetryCollector": &c.Collector, "autoscaler": &c.Windows, "deploy": &deploy, "inferenceService": &services,
	} {
		entry := objects[i].Get("data", key)
		if !entry.Exists() {
			continue
		}
		if err := json.Unmarshal([]byte(entry.Text()), to); err != nil {
			return Config{}, fmt.Errorf("%w: %s: %s is not the JSON that KServe wants: %w", ErrConfig, entry.Position(), key, err)
		}
	}
	c.Mode = modeOf(deploy.Mode)
	c.disallowed = append(c.disallowed, services.Disallowed...)
	return c, nil
}
