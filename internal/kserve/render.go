package kserve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

// The annotations of an InferenceService that decide over scaling.
const (
	ClassAnnotation   = "serving.kserve.io/autoscalerClass"
	ModeAnnotation    = "serving.kserve.io/deploymentMode"
	StopAnnotation    = "serving.kserve.io/stop"
	PortAnnotation    = "prometheus.kserve.io/port"
	SidecarAnnotation = "sidecar.opentelemetry.io/inject"

	storageAnnotation = "internal.serving.kserve.io/storage-initializer-sourceuri"
)

// The kinds of metrics, and the backends.
const (
	Resource      = "Resource"
	External      = "External"
	PodMetric     = "PodMetric"
	Prometheus    = "prometheus"
	OpenTelemetry = "opentelemetry"
)

// components are the parts of an InferenceService that scale by themselves.
var components = []string{"predictor", "transformer", "explainer"}

// Component is a part of an InferenceService with what KServe makes for it.
type Component struct {
	manifest.Node          // the part's specification
	Meta          Meta     // of the objects made for it
	ScaledObject  *Scaled  // nil if there is none
	Collector     *Sidecar // nil if there is none
	MetricNames   []string // that the Collector lets through
	Why           string   // why there is no ScaledObject
}

// Meta is an object's metadata.
type Meta struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Is tells whether an object is an InferenceService.
func Is(o manifest.Object) bool {
	return o.Kind == "InferenceService" && strings.HasPrefix(o.APIVersion, "serving.kserve.io/")
}

// Render returns the components of an InferenceService, with what KServe makes
// for them.
func Render(o manifest.Object, c Config) []Component {
	var all []Component
	for _, name := range components {
		node := o.Get("spec", name)
		if !node.IsMap() {
			continue
		}
		component := Component{Node: node, Meta: metaOf(o, node, name, c)}
		component.render(o, c)
		all = append(all, component)
	}
	return all
}

func (p *Component) render(o manifest.Object, c Config) {
	annotations := p.Meta.Annotations
	if mode := Mode(o, c); mode != Standard {
		p.Why = fmt.Sprintf("KServe makes none in deployment mode %q; write the annotation %s: %q", mode, ModeAnnotation, Standard)
		return
	}
	if strings.EqualFold(annotations[StopAnnotation], "true") {
		p.Why = fmt.Sprintf("it is stopped by the annotation %s", StopAnnotation)
		return
	}
	metrics := p.Get("autoScaling", "metrics").Items()
	if p.MetricNames = metricNames(metrics); len(p.MetricNames) > 0 {
		p.Collector = sidecar(p.Meta, p.MetricNames, c.Collector)
	}
	if class := annotations[ClassAnnotation]; class != "keda" {
		p.Why = fmt.Sprintf("its autoscaler class is %q, for which KServe makes an HPA at most; write the annotation %s: %q", class, ClassAnnotation, "keda")
		return
	}
	p.ScaledObject = scaledObject(p.Meta, p.Node, metrics, c)
}

// Mode is an InferenceService's deployment mode.
func Mode(o manifest.Object, c Config) string {
	if mode := o.Get("status", "deploymentMode").Text(); mode != "" {
		return mode
	}
	switch mode := modeOf(o.Get("metadata", "annotations", ModeAnnotation).Text()); mode {
	case Standard, Knative, ModelMesh:
		return mode
	}
	return c.Mode
}

func metaOf(o manifest.Object, component manifest.Node, name string, c Config) Meta {
	m := Meta{Name: o.Name + "-" + name, Namespace: o.Namespace}
	if m.Namespace == "" {
		m.Namespace = c.Namespace
	}
	m.Labels = texts(o.Get("metadata", "labels"))
	maps.Copy(m.Labels, texts(component.Get("labels")))
	m.Labels["serving.kserve.io/inferenceservice"] = o.Name
	m.Labels["component"] = name
	m.Labels["app"] = "isvc." + m.Name
	allowed := func(annotations map[string]string) map[string]string {
		maps.DeleteFunc(annotations, func(key, _ string) bool { return slices.Contains(c.disallowed, key) })
		return annotations
	}
	m.Annotations = allowed(texts(o.Get("metadata", "annotations")))
	// The webhook gives a deprecated mode its new name.
	if mode, ok := m.Annotations[ModeAnnotation]; ok {
		m.Annotations[ModeAnnotation] = modeOf(mode)
	} else if c.Mode == Standard {
		m.Annotations[ModeAnnotation] = c.Mode
	}
	if uri := component.Get("model", "storageUri"); uri.Exists() {
		m.Annotations[storageAnnotation] = uri.Text()
	}
	maps.Copy(m.Annotations, allowed(texts(component.Get("annotations"))))
	return m
}

// metricNames are those that the sidecar lets through.
func metricNames(metrics []manifest.Node) (names []string) {
	for _, metric := range metrics {
		pod := metric.Get("podmetric", "metric")
		if metric.Get("type").Text() == PodMetric && pod.Get("backend").Text() == OpenTelemetry {
			for _, name := range pod.Get("metricNames").Items() {
				names = append(names, name.Text())
			}
		}
	}
	return names
}

func texts(m manifest.Node) map[string]string {
	all := make(map[string]string)
	for _, p := range m.Pairs() {
		all[p.Key] = p.Value.Text()
	}
	return all
}

// integer reads a whole number; nil if there is none. JSON, which is what the
// API server gets, does not tell 4.0 from 4.
func integer(n manifest.Node) *int32 {
	v, err := strconv.ParseFloat(n.Text(), 64)
	if err != nil || v != float64(int32(v)) || n.IsString() {
		return nil
	}
	i := int32(v)
	return &i
}

// quantity is a target as KServe hands it on: a text as it is written, a number
// if it is whole.
func quantity(n manifest.Node) string {
	if n.IsString() {
		return n.Text()
	}
	if i := integer(n); i != nil {
		return strconv.Itoa(int(*i))
	}
	return "0"
}
