package check

import (
	"slices"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// maxTriggers is how many of an object are looked at.
const maxTriggers = 100

// Checker checks objects. It may be used concurrently.
type Checker struct {
	queries *query.Engine
	service string
	label   string // that --enforce-namespace-label names; empty enforces none
	kserve  kserve.Config
}

// New returns a checker. service is the name of our Service, by which triggers
// that are for us are known; label is the one that must have an object's
// namespace, none if empty; kserve are the settings of the cluster's KServe.
func New(service, label string, config kserve.Config) (*Checker, error) {
	queries, err := query.New(query.Options{}) // it compiles only, so it needs no store
	if err != nil {
		return nil, err
	}
	return &Checker{queries, service, label, config}, nil
}

// Object returns what there is to say about an object. known is false if it is
// of no kind that is checked.
func (c *Checker) Object(o manifest.Object) (findings []Finding, known bool) {
	r := &report{object: o}
	switch {
	case kserve.Is(o):
		c.inferenceService(r)
	case strings.HasPrefix(o.APIVersion, "keda.sh/") && o.Kind == "ScaledObject":
		c.scaledObject(r)
	case strings.HasPrefix(o.APIVersion, "keda.sh/") && o.Kind == "ScaledJob":
		c.scaledJob(r)
	default:
		return nil, false
	}
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return r.findings, true
}
