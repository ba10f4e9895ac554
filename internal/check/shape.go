package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

// shape are the fields that an object may have. A list has the shape of its
// elements; nil is any shape.
type shape map[string]shape

var (
	triggerShape = shape{
		"type": nil, "name": nil, "metadata": nil, "metricType": nil, "useCachedMetrics": nil,
		"authenticationRef": {"name": nil, "kind": nil},
	}
	scaledObjectShape = shape{
		"scaleTargetRef":  {"name": nil, "apiVersion": nil, "kind": nil, "envSourceContainerName": nil},
		"pollingInterval": nil, "initialCooldownPeriod": nil, "cooldownPeriod": nil,
		"idleReplicaCount": nil, "minReplicaCount": nil, "maxReplicaCount": nil,
		"advanced": {
			"restoreToOriginalReplicaCount": nil,
			"horizontalPodAutoscalerConfig": {"name": nil, "behavior": nil},
			"scalingModifiers":              {"formula": nil, "target": nil, "activationTarget": nil, "metricType": nil},
		},
		"triggers": triggerShape,
		"fallback": {"failureThreshold": nil, "replicas": nil, "behavior": nil},
	}
	targetShape = shape{"type": nil, "value": nil, "averageValue": nil, "averageUtilization": nil}
	rulesShape  = shape{"policies": nil, "selectPolicy": nil, "stabilizationWindowSeconds": nil, "tolerance": nil}

	autoScalingShape = shape{
		"metrics": {
			"type":     nil,
			"resource": {"name": nil, "target": targetShape},
			"external": {
				"metric":            {"backend": nil, "serverAddress": nil, "query": nil, "namespace": nil},
				"authenticationRef": {"authModes": nil, "authenticationRef": {"name": nil}},
				"target":            targetShape,
			},
			"podmetric": {
				"metric": {"backend": nil, "serverAddress": nil, "metricNames": nil, "query": nil, "operationOverTime": nil},
				"target": targetShape,
			},
		},
		"behavior": {"scaleUp": rulesShape, "scaleDown": rulesShape},
	}
)

// shaped reports fields that there aren't, which kubectl refuses and the API
// server drops, and those that are there twice, of which one is lost.
func (r *report) shaped(n manifest.Node, s shape) {
	if s == nil {
		return
	}
	for _, item := range n.Items() {
		r.shaped(item, s)
	}
	for _, again := range n.Twice() {
		r.add(Error, again.At, again.Value, "is written twice; only the last is read")
	}
	for _, p := range n.Pairs() {
		if inner, ok := s[p.Key]; ok {
			r.shaped(p.Value, inner)
		} else {
			r.add(Error, p.At, p.Value, "there is no such field%s", meant(p.Key, slices.Sorted(maps.Keys(s))))
		}
	}
}

// meant says which of the names a mistyped one was to be, or which there are.
func meant(name string, names []string) string {
	for _, n := range names {
		if strings.EqualFold(n, name) || distance(strings.ToLower(n), strings.ToLower(name)) <= 2 {
			return "; write " + n
		}
	}
	return "; there is " + strings.Join(names, ", ")
}

// distance counts the letters to put in, take out or change.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
