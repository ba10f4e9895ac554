package check

import (
	"slices"
	"strings"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// maxTriggers is how many of an object are looked at.
const maxTriggers = 100

// Options are the settings of the server and of KServe that the objects are for.
type Options struct {
	Service      string        // the name of our Service, by which triggers that are for us are known
	Label        string        // that --enforce-namespace-label names; empty enforces none
	MaxRetention time.Duration // the server's --max-retention
	KServe       kserve.Config
}

// Checker checks objects. It may be used concurrently.
type Checker struct {
	queries *query.Engine
	service string
	label   string // that --enforce-namespace-label names; empty enforces none
	kserve  kserve.Config
}

// New returns a checker.
func New(o Options) (*Checker, error) {
	queries, err := query.New(query.Options{MaxRetention: o.MaxRetention}) // it compiles only, so it needs no store
	if err != nil {
		return nil, err
	}
	return &Checker{queries, o.Service, o.Label, o.KServe}, nil
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
