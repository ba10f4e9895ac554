package check

import (
	"slices"
	"strconv"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

const (
	// maxLabel is how long a label's value may be; the HPA's name becomes one.
	maxLabel  = 63
	hpaPrefix = "keda-hpa-"
	// defaultPolling is how often KEDA asks, in seconds, if nothing is written.
	defaultPolling = 30
	defaultMax     = 100
)

// metricTypes are what a trigger that is not of a resource may have.
var metricTypes = []string{"AverageValue", "Value"}

func (c *Checker) scaledObject(r *report) {
	spec := r.object.Get("spec")
	triggers, ours := c.triggers(r, spec)
	if !ours {
		return // nothing of it concerns us
	}
	r.shaped(spec, scaledObjectShape)
	target := spec.Get("scaleTargetRef")
	switch {
	case !target.IsMap():
		r.errorf(target, "is missing; write scaleTargetRef: {name: <deployment>}")
	case target.Get("name").Text() == "":
		r.errorf(target.Get("name"), "is missing; write the name of what is to be scaled, a Deployment unless kind says otherwise")
	}
	if name := spec.Get("advanced", "horizontalPodAutoscalerConfig", "name").Text(); name == "" && len(hpaPrefix+r.object.Name) > maxLabel {
		r.errorf(r.object.Get("metadata", "name"), "is too long by %d letters: KEDA names the HPA %s%s, and %d is the most; shorten it, or write spec.advanced.horizontalPodAutoscalerConfig.name",
			len(hpaPrefix+r.object.Name)-maxLabel, hpaPrefix, r.object.Name, maxLabel)
	}
	c.replicas(r, spec, triggers)
}

func (c *Checker) scaledJob(r *report) {
	spec := r.object.Get("spec")
	if _, ours := c.triggers(r, spec); ours && !spec.Get("jobTargetRef").IsMap() {
		r.errorf(spec.Get("jobTargetRef"), "is missing; write the Job that is to be made, with its template")
	}
}

// triggers checks those that are ours, and tells whether there are any.
func (c *Checker) triggers(r *report, spec manifest.Node) (all []*trigger, ours bool) {
	items := spec.Get("triggers").Items()
	if len(items) > maxTriggers {
		r.errorf(spec.Get("triggers"), "has %d triggers, of which the first %d were looked at", len(items), maxTriggers)
		items = items[:maxTriggers]
	}
	names := make(map[string]bool)
	for _, item := range items {
		// What is wrong with other people's triggers is theirs to say.
		own := &report{object: r.object}
		t := own.readTrigger(item)
		all = append(all, t)
		if name := item.Get("name"); name.Text() != "" && names[name.Text()] {
			r.errorf(name, "%q is the name of another trigger, too, and KEDA refuses the object; write another, or none", name.Text())
		}
		names[item.Get("name").Text()] = true
		if !c.ours(t) {
			if _, queries := t.metadata["metricQuery"]; queries {
				ours = true
				r.findings = append(r.findings, own.findings...)
				if t.kind != "" {
					r.errorf(item.Get("type"), "%q reads no metricQuery%s", t.kind, meant(t.kind, []string{"external", "external-push"}))
				}
			}
			continue
		}
		ours = true
		r.findings = append(r.findings, own.findings...)
		c.trigger(r, t)
		c.keda(r, t, spec)
	}
	return all, ours
}

// keda checks what KEDA makes of a trigger beside its metadata.
func (c *Checker) keda(r *report, t *trigger, spec manifest.Node) {
	metricType := t.node.Get("metricType")
	switch {
	case r.object.Kind == "ScaledJob" && slices.Contains(metricTypes, metricType.Text()):
	case !metricType.Exists() || metricType.Text() == "AverageValue":
		if r.object.Kind == "ScaledObject" {
			r.shares(t, queryKey(t), "metricType: Value beside type: "+t.kind)
		}
	case metricType.Text() == "Value" && t.level:
	case metricType.Text() == "Value":
		r.warnf(metricType, "the HPA then takes the value for that of one replica: a sum over all of them makes it add replicas for as long as there is load; "+
			"leave metricType out, unless the query yields an average, or another level")
	case !slices.Contains(metricTypes, metricType.Text()):
		r.errorf(metricType, "%q is for cpu and memory, and KEDA refuses it here; leave metricType out", metricType.Text())
	}
	if cached := t.node.Get("useCachedMetrics"); cached.Text() == "true" && r.object.Kind == "ScaledObject" {
		r.warnf(cached, "the HPA then sees values that are up to pollingInterval (%d s) old; leave it out, as asking costs us next to nothing", polling(spec))
	}
}

// queryKey is what a trigger's query is called.
func queryKey(t *trigger) string {
	if t.kind == "prometheus" {
		return "query"
	}
	return "metricQuery"
}

// polling is how often KEDA asks, in seconds.
func polling(spec manifest.Node) int {
	return number(spec.Get("pollingInterval"), defaultPolling)
}

// number reads a whole number; one that is not there, or not whole, is the
// other.
func number(n manifest.Node, otherwise int) int {
	if v, err := strconv.Atoi(n.Text()); err == nil && !n.IsString() {
		return v
	}
	return otherwise
}

// replicas checks how far the object may be scaled, and how it wakes from zero.
func (c *Checker) replicas(r *report, spec manifest.Node, triggers []*trigger) {
	ok := true
	for _, field := range []struct {
		name  string
		least int
	}{{"minReplicaCount", 0}, {"maxReplicaCount", 1}, {"idleReplicaCount", 0}, {"pollingInterval", 1}, {"cooldownPeriod", 0}} {
		n := spec.Get(field.name)
		if n.Exists() && (!n.IsInt() || number(n, -1) < field.least) {
			r.errorf(n, "%q is no whole number from %d on", n.Text(), field.least)
			ok = false
		}
	}
	if !ok {
		return
	}
	least, most := number(spec.Get("minReplicaCount"), 0), number(spec.Get("maxReplicaCount"), defaultMax)
	if least > most {
		r.errorf(spec.Get("minReplicaCount"), "%d is more than maxReplicaCount %d, and KEDA refuses the object", least, most)
	}
	idle := spec.Get("idleReplicaCount")
	if idle.Exists() && number(idle, 0) >= max(least, 1) {
		r.errorf(idle, "%s must be less than minReplicaCount %d, and KEDA refuses the object", idle.Text(), max(least, 1))
	}
	interval := spec.Get("pollingInterval")
	switch wakes, push := least == 0 || idle.Exists(), spec.Get("triggers").Items(); {
	case !wakes && interval.Exists() && !usesCache(push):
		r.warnf(interval, "has no effect from minReplicaCount 1 on: the HPA asks by itself, every 15 s unless the cluster says otherwise; leave it out")
	case wakes:
		for _, t := range triggers {
			if t.kind == "external" && c.ours(t) && polling(spec) > defaultPolling {
				r.warnf(interval, "at 0 replicas load is seen after %d s at worst; write type: external-push, which the scaler notifies at once, or a smaller pollingInterval", polling(spec))
				break
			}
		}
	}
	for _, t := range triggers {
		if t.kind == "external-push" && c.ours(t) && least > 0 && !idle.Exists() {
			r.warnf(t.node.Get("type"), "what is pushed only wakes an object from 0 replicas, and minReplicaCount is %d: it scales as type: external does", least)
		}
	}
}

func usesCache(triggers []manifest.Node) bool {
	return slices.ContainsFunc(triggers, func(t manifest.Node) bool { return t.Get("useCachedMetrics").Text() == "true" })
}
