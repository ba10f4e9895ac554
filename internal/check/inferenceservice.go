package check

import (
	"slices"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// fieldNames are what an InferenceService calls the metadata of its triggers.
var fieldNames = map[string]string{
	"metricQuery": "query", "targetValue": "value", "scalerAddress": "serverAddress", "threshold": "value",
}

func (c *Checker) inferenceService(r *report) {
	for _, p := range kserve.Render(r.object, c.kserve) {
		scaling := p.Get("autoScaling")
		r.shaped(scaling, autoScalingShape)
		metrics := scaling.Get("metrics").Items()
		if len(metrics) > maxTriggers {
			r.errorf(scaling.Get("metrics"), "has %d metrics; at most %d are looked at", len(metrics), maxTriggers)
			continue
		}
		if p.ScaledObject == nil {
			c.unscaled(r, p, metrics)
			continue
		}
		for _, m := range metrics {
			r.metric(m)
		}
		c.component(r, p)
	}
}

// unscaled speaks up if somebody expects a ScaledObject, and there is none.
func (c *Checker) unscaled(r *report, p kserve.Component, metrics []manifest.Node) {
	needsKEDA := slices.ContainsFunc(metrics, func(m manifest.Node) bool {
		return m.Get("type").Text() == kserve.PodMetric || m.Get("type").Text() == kserve.External
	})
	stopped := strings.EqualFold(p.Meta.Annotations[kserve.StopAnnotation], "true")
	if needsKEDA && !stopped {
		r.errorf(r.object.Get("metadata", "annotations"), "%s asks for a metric of KEDA's, and gets no ScaledObject: %s", p.Path(), p.Why)
	}
}

// perPod is how a level becomes a load where KServe writes no metricType.
const perPod = "(<query>) * count(<a metric that each pod has one of>)"

// component checks what KServe makes for a part of an InferenceService.
func (c *Checker) component(r *report, p kserve.Component) {
	s := p.ScaledObject
	for i := range s.Spec.Triggers {
		made := &s.Spec.Triggers[i]
		t := &trigger{node: made.At, kind: made.Type, metadata: made.Metadata, from: made.From, names: fieldNames}
		switch {
		case c.ours(t) && t.kind == "external":
			c.podMetric(r, p, t)
		case c.ours(t):
			c.trigger(r, t)
			r.shares(t, "query", perPod)
		case t.kind == kserve.Prometheus:
			threshold(r, t)
		}
	}
	if len(s.Spec.Triggers) == 0 {
		r.errorf(p.Get("autoScaling", "metrics"), "is missing: KServe makes a ScaledObject without triggers of it, which KEDA refuses; write metrics, or leave the autoscaler class keda out")
	}
	if p.Collector != nil {
		r.sidecar(p)
	}
	r.bounds(p)
}

// bounds checks how far a part may be scaled.
func (r *report) bounds(p kserve.Component) {
	s := p.ScaledObject
	for _, name := range []string{"minReplicas", "maxReplicas"} {
		if n := p.Get(name); n.Exists() && (!n.IsInt() || number(n, -1) < 0) {
			r.errorf(n, "%q is no whole number from 0 on", n.Text())
		}
	}
	least, most := p.Get("minReplicas"), p.Get("maxReplicas")
	switch limit := number(most, 0); {
	case limit == 0:
		r.warnf(most, "is missing, and then is minReplicas: %s always has %d replicas", p.Path(), s.Spec.MaxReplicas)
	case limit > 0 && number(least, 1) > limit:
		r.errorf(least, "%d is more than maxReplicas %d, and KServe refuses the InferenceService", number(least, 1), limit)
	}
	if name := hpaPrefix + s.Metadata.Name; len(name) > maxLabel {
		r.errorf(r.object.Get("metadata", "name"), "is too long by %d letters: KEDA names the HPA %s, and %d is the most", len(name)-maxLabel, name, maxLabel)
	}
	if s.Spec.MinReplicas == 0 && len(s.Spec.Triggers) > 0 {
		r.wakes(p, least)
	}
	for _, side := range []string{"scaleUp", "scaleDown"} {
		for _, lost := range p.Get("autoScaling", "behavior", side).Pairs() {
			if lost.Key != "stabilizationWindowSeconds" {
				r.warnf(lost.Value, "KServe hands on nothing but stabilizationWindowSeconds: the HPA will not know of it")
			}
		}
	}
}

// wakes checks whether anything can wake a part that has no replicas.
func (r *report) wakes(p kserve.Component, least manifest.Node) {
	resources, pods := true, true
	for i := range p.ScaledObject.Spec.Triggers {
		kind := p.ScaledObject.Spec.Triggers[i].At.Get("type").Text()
		resources = resources && kind == kserve.Resource
		pods = pods && kind != kserve.External
	}
	switch {
	case resources:
		r.errorf(least, "0 needs a metric besides cpu and memory, or KEDA refuses the ScaledObject; write minReplicas: 1")
	case pods:
		r.warnf(least, "0 replicas have no metrics of their own, so nothing here wakes them; add an External metric of what requests arrive at, such as the gateway, or write minReplicas: 1")
	}
}

// sidecar checks that the Collector that KServe makes gets into the pods.
func (r *report) sidecar(p kserve.Component) {
	inject, ok := p.Meta.Annotations[kserve.SidecarAnnotation]
	at := r.object.Get("metadata", "annotations", kserve.SidecarAnnotation)
	if own := p.Get("annotations", kserve.SidecarAnnotation); own.Exists() {
		at = own
	}
	name := p.Meta.Name
	switch {
	case !ok || inject == "false":
		r.errorf(at, "is missing, so the pods get no Collector and push nothing; write %s: %q", kserve.SidecarAnnotation, name)
	case inject != "true" && inject != name && inject != p.Meta.Namespace+"/"+name:
		r.errorf(at, "%q is not the Collector that KServe makes for %s, so the pods push nothing; write %s: %q", inject, p.Path(), kserve.SidecarAnnotation, name)
	}
}

// metric checks what KServe's webhook does, and says it for all metrics at once.
func (r *report) metric(m manifest.Node) {
	kinds := map[string]string{kserve.Resource: "resource", kserve.External: "external", kserve.PodMetric: "podmetric"}
	kind := m.Get("type").Text()
	part, ok := kinds[kind]
	if !ok {
		r.errorf(m.Get("type"), "%q is none of Resource, External, PodMetric", kind)
		return
	}
	source := m.Get(part)
	if !source.IsMap() {
		r.errorf(source, "is missing, and goes with type: %s", kind)
		return
	}
	target := source.Get("target")
	for _, name := range []string{"value", "averageValue"} {
		r.number(target.Get(name))
	}
	if kind == kserve.Resource {
		r.resource(source)
	} else {
		backend := source.Get("metric", "backend")
		allowed := map[string][]string{kserve.External: {"prometheus", "graphite"}, kserve.PodMetric: {"opentelemetry"}}[kind]
		if !slices.Contains(allowed, backend.Text()) {
			r.errorf(backend, "%q is none of %s", backend.Text(), strings.Join(allowed, ", "))
		}
		if source.Get("metric", "query").Text() == "" {
			r.errorf(source.Get("metric", "query"), "is missing, and KServe refuses the InferenceService; write for example query: vllm:num_requests_running")
		}
		if !target.Get("value").Exists() {
			r.errorf(target.Get("value"), "is missing, and KServe refuses the InferenceService, whatever the target's type; write type: Value, value: \"4\"")
		}
	}
	wants := map[string]string{"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}
	switch field, known := wants[target.Get("type").Text()]; {
	case !known:
		r.errorf(target.Get("type"), "%q is none of Utilization, Value, AverageValue", target.Get("type").Text())
	case !target.Get(field).Exists() && field != "value":
		r.errorf(target.Get(field), "is missing, and goes with type: %s", target.Get("type").Text())
	case field == "averageUtilization" && (number(target.Get(field), 0) < 1 || number(target.Get(field), 0) > 100):
		r.errorf(target.Get(field), "%q is no percentage; write a whole number from 1 to 100", target.Get(field).Text())
	}
}

// resource checks a metric of the pods' resources.
func (r *report) resource(source manifest.Node) {
	target := source.Get("target")
	kind, average := target.Get("type"), target.Get("averageValue")
	switch name := source.Get("name"); {
	case name.Text() == "cpu" && kind.Text() != "Utilization":
		r.errorf(kind, "%q does not go with cpu, and KServe refuses the InferenceService; write type: Utilization, averageUtilization: 50", kind.Text())
	case name.Text() == "memory" && kind.Text() == "Value":
		r.errorf(kind, "\"Value\" does not go with memory, and KServe refuses the InferenceService; write type: AverageValue, averageValue: 1Gi")
	case name.Text() == "memory" && kind.Text() == "AverageValue" && average.Exists():
		if v, err := scaler.ParseQuantity(average.Text()); err == nil && v < 1<<20 {
			r.errorf(average, "%s is less than 1Mi, and KServe refuses the InferenceService: it counts bytes; write for example averageValue: 50Mi", average.Text())
		}
	case name.Text() != "cpu" && name.Text() != "memory":
		r.errorf(name, "%q is none of cpu, memory", name.Text())
	}
}

// number checks a target, which KServe takes as text or as a whole number.
func (r *report) number(n manifest.Node) {
	if !n.Exists() {
		return
	}
	v, err := scaler.ParseQuantity(n.Text())
	switch {
	case err != nil:
		r.errorf(n, "%q is not a number; write a number or a Kubernetes quantity, for example \"4\"", n.Text())
	case n.IsFloat() && v != float64(int64(v)):
		r.errorf(n, "%s is a number with a fraction, and KServe takes those as text only; write %q", n.Text(), n.Text())
	}
}
