package kserve

import (
	"strconv"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

// defaultUtilization is the percentage of the CPU where none is written.
const defaultUtilization = 80

// Scaled is a ScaledObject.
type Scaled struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   Meta   `yaml:"metadata"`
	Spec       struct {
		Target      NameRef   `yaml:"scaleTargetRef"`
		MinReplicas int32     `yaml:"minReplicaCount"`
		MaxReplicas int32     `yaml:"maxReplicaCount"`
		Advanced    *Advanced `yaml:"advanced,omitempty"`
		Triggers    []Trigger `yaml:"triggers"`
	} `yaml:"spec"`
}

// NameRef names another object.
type NameRef struct {
	Name string `yaml:"name"`
}

// Advanced is how fast the HPA may be.
type Advanced struct {
	HPA struct {
		Behavior struct {
			ScaleDown *Window `yaml:"scaleDown,omitempty"`
			ScaleUp   *Window `yaml:"scaleUp,omitempty"`
		} `yaml:"behavior"`
	} `yaml:"horizontalPodAutoscalerConfig"`
}

// Window is for how long the HPA looks back before it acts.
type Window struct {
	Seconds int32 `yaml:"stabilizationWindowSeconds"`
}

// Trigger is one of a ScaledObject's.
type Trigger struct {
	Type           string            `yaml:"type"`
	MetricType     string            `yaml:"metricType,omitempty"`
	Metadata       map[string]string `yaml:"metadata"`
	Authentication *NameRef          `yaml:"authenticationRef,omitempty"`

	// At is the metric that it was made of, and From what its metadata were.
	At   manifest.Node            `yaml:"-"`
	From map[string]manifest.Node `yaml:"-"`
}

func scaledObject(meta Meta, component manifest.Node, metrics []manifest.Node, c Config) *Scaled {
	s := &Scaled{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Metadata: meta}
	s.Spec.Target.Name = meta.Name
	s.Spec.MinReplicas = 1
	if n := integer(component.Get("minReplicas")); n != nil {
		s.Spec.MinReplicas = *n
	}
	if n := integer(component.Get("maxReplicas")); n != nil {
		s.Spec.MaxReplicas = *n
	}
	s.Spec.MaxReplicas = max(s.Spec.MaxReplicas, s.Spec.MinReplicas)
	behavior := component.Get("autoScaling", "behavior")
	down := window(behavior.Get("scaleDown"), c.Windows.ScaleDown)
	up := window(behavior.Get("scaleUp"), c.Windows.ScaleUp)
	if down != nil || up != nil {
		s.Spec.Advanced = &Advanced{}
		s.Spec.Advanced.HPA.Behavior.ScaleDown, s.Spec.Advanced.HPA.Behavior.ScaleUp = down, up
	}
	for _, metric := range metrics {
		switch metric.Get("type").Text() {
		case Resource:
			s.Spec.Triggers = append(s.Spec.Triggers, resource(metric))
		case External:
			s.Spec.Triggers = append(s.Spec.Triggers, external(metric))
		case PodMetric:
			s.Spec.Triggers = append(s.Spec.Triggers, podMetric(metric, meta, c))
		}
	}
	return s
}

// window carries over nothing of a behavior but its window.
func window(behavior manifest.Node, otherwise string) *Window {
	if n := integer(behavior.Get("stabilizationWindowSeconds")); n != nil {
		return &Window{*n}
	}
	n, err := strconv.ParseInt(otherwise, 10, 32)
	if err != nil {
		return nil
	}
	return &Window{int32(n)}
}

// resource is what the HPA asks the metrics server for.
func resource(metric manifest.Node) Trigger {
	r := metric.Get("resource")
	target, value := r.Get("target"), manifest.Node{}
	t := Trigger{Type: r.Get("name").Text(), MetricType: target.Get("type").Text(), At: metric}
	text := "0"
	switch t.MetricType {
	case "Utilization":
		value = target.Get("averageUtilization")
		switch n := integer(value); {
		case n != nil:
			text = strconv.Itoa(int(*n))
		case t.Type == "cpu":
			text = strconv.Itoa(defaultUtilization)
		}
	case "AverageValue":
		value = target.Get("averageValue")
		text = quantity(value)
	case "Value":
		value = target.Get("value")
		text = quantity(value)
	}
	t.set("value", text, value)
	return t
}

// external is what KEDA asks another server for.
func external(metric manifest.Node) Trigger {
	e := metric.Get("external")
	m, auth := e.Get("metric"), e.Get("authenticationRef")
	t := Trigger{Type: m.Get("backend").Text(), At: metric}
	t.set("serverAddress", m.Get("serverAddress").Text(), m.Get("serverAddress"))
	t.set("query", m.Get("query").Text(), m.Get("query"))
	t.set("threshold", quantity(e.Get("target", "value")), e.Get("target", "value"))
	if ns := m.Get("namespace"); t.Type == Prometheus && ns.Text() != "" {
		t.set("namespace", ns.Text(), ns)
	}
	if modes := auth.Get("authModes"); modes.Text() != "" {
		t.set("authModes", modes.Text(), modes)
	}
	if name := auth.Get("authenticationRef", "name").Text(); name != "" {
		t.Authentication = &NameRef{name}
	}
	return t
}

// podMetric is what KEDA asks us for.
func podMetric(metric manifest.Node, meta Meta, c Config) Trigger {
	m, target := metric.Get("podmetric", "metric"), metric.Get("podmetric", "target", "value")
	t := Trigger{Metadata: map[string]string{}, At: metric}
	if m.Get("backend").Text() != OpenTelemetry {
		return t
	}
	t.Type = "external"
	t.set("metricQuery", Wrap(m.Get("query").Text(), meta), m.Get("query"))
	t.set("targetValue", quantity(target), target)
	address := m.Get("serverAddress")
	t.set("scalerAddress", address.Text(), address)
	if address.Text() == "" {
		t.Metadata["scalerAddress"] = c.Collector.MetricScalerEndpoint
	}
	if over := m.Get("operationOverTime"); over.Text() != "" {
		t.set("operationOverTime", over.Text(), over)
	}
	return t
}

func (t *Trigger) set(key, text string, from manifest.Node) {
	if t.From == nil {
		t.From = make(map[string]manifest.Node)
	}
	if t.Metadata == nil {
		t.Metadata = make(map[string]string)
	}
	t.Metadata[key], t.From[key] = text, from
}

// Wrap puts KServe's selector behind a query, whatever the query is.
func Wrap(query string, meta Meta) string {
	return `sum(` + query + `{namespace="` + meta.Namespace + `", deployment="` + meta.Name + `"})`
}
