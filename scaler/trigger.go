package scaler

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// ErrTrigger is wrapped by every fault of a trigger's metadata. The message
// names the key, its value and a right example.
var ErrTrigger = errors.New("bad trigger metadata")

// The metadata keys of a trigger.
const (
	keyQuery      = "metricQuery"
	keyTarget     = "targetValue"
	keyActivation = "activationTargetValue"
	keyOverTime   = "operationOverTime"
	keyClampMin   = "clampMin"
	keyClampMax   = "clampMax"
	keyOnMissing  = "onMissing"
	keyIfNotFound = "valueIfNotFound"
)

// knownKeys are ours, and those that KEDA itself reads from the same map.
var knownKeys = []string{
	keyQuery, keyTarget, keyActivation, keyOverTime, keyClampMin, keyClampMax, keyOnMissing, keyIfNotFound,
	"scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsClientCert", "tlsClientKey",
}

// minTarget is the smallest target that KEDA, which counts in thousandths,
// does not round to zero.
const minTarget = 0.0005

// trigger is a trigger's metadata as understood.
type trigger struct {
	query      string
	over       query.OverTime
	target     float64
	activation float64
	clampMin   *float64
	clampMax   *float64
	missing    Missing
	unknown    []string // keys that nobody reads, sorted; the first few
}

func faultf(key, value, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %q %w", ErrTrigger, key, value, fmt.Errorf(format, args...))
}

// parseTrigger reads a trigger's metadata. defaults apply where it says nothing
// about missing data.
func parseTrigger(md map[string]string, defaults Missing) (*trigger, error) {
	t := &trigger{missing: defaults}
	var err error
	if t.unknown, err = checkKeys(md); err != nil {
		return nil, err
	}
	if t.query = md[keyQuery]; strings.TrimSpace(t.query) == "" {
		return nil, fmt.Errorf("%w: %s is missing; write for example %s: sum(vllm:num_requests_running{namespace=\"default\"})", ErrTrigger, keyQuery, keyQuery)
	}
	if t.over, err = query.ParseOverTime(md[keyOverTime]); err != nil {
		return nil, fmt.Errorf("%w: %s: %w; write for example %s: avg, or leave it out", ErrTrigger, keyOverTime, err, keyOverTime)
	}
	target, err := optional(md, keyTarget, "4")
	switch {
	case err != nil:
		return nil, err
	case target == nil:
		return nil, fmt.Errorf("%w: %s is missing; write the load that one replica should carry, for example %s: \"4\"", ErrTrigger, keyTarget, keyTarget)
	case *target < minTarget:
		return nil, faultf(keyTarget, md[keyTarget], "must be greater than 0, and KEDA counts in thousandths; write for example %s: \"4\" or \"500m\"", keyTarget)
	}
	t.target = *target
	activation, err := optional(md, keyActivation, "0")
	if err != nil {
		return nil, err
	}
	if activation != nil {
		t.activation = *activation
	}
	if t.clampMin, err = optional(md, keyClampMin, "1"); err != nil {
		return nil, err
	}
	if t.clampMax, err = optional(md, keyClampMax, "100"); err != nil {
		return nil, err
	}
	if t.clampMin != nil && t.clampMax != nil && *t.clampMin > *t.clampMax {
		return nil, faultf(keyClampMin, md[keyClampMin], "is greater than %s %q; write for example %s: \"1\", %s: \"100\"", keyClampMax, md[keyClampMax], keyClampMin, keyClampMax)
	}
	return t, t.parseMissing(md)
}

func (t *trigger) parseMissing(md map[string]string) error {
	value, err := optional(md, keyIfNotFound, "0")
	if err != nil {
		return err
	}
	policy := md[keyOnMissing]
	switch {
	case policy == "" && value == nil:
		return nil // the default stands
	case policy == "":
		policy = Value.String() // a value alone says enough
	}
	if t.missing.Policy, err = ParseOnMissing(policy); err != nil {
		return fmt.Errorf("%w: %s: %w; write for example %s: error, or leave it out", ErrTrigger, keyOnMissing, err, keyOnMissing)
	}
	switch {
	case t.missing.Policy != Value && value != nil:
		return faultf(keyIfNotFound, md[keyIfNotFound], "goes with %s: value only, not with %s: %s", keyOnMissing, keyOnMissing, policy)
	case t.missing.Policy == Value && value == nil:
		return faultf(keyOnMissing, policy, "needs a %s, for example %s: \"1\"", keyIfNotFound, keyIfNotFound)
	case value != nil:
		t.missing.Value = *value
	}
	return nil
}

// optional reads a number or a quantity; nil if the key is absent or empty.
func optional(md map[string]string, key, example string) (*float64, error) {
	s := md[key]
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	v, err := parseQuantity(s)
	if err != nil {
		return nil, faultf(key, s, "%w; write a number or a Kubernetes quantity, for example %s: %q", err, key, example)
	}
	return &v, nil
}

// checkKeys refuses keys that differ from a known one in case only, which are
// always typing errors, and returns those it can't judge.
func checkKeys(md map[string]string) (unknown []string, err error) {
	for _, key := range slices.Sorted(maps.Keys(md)) {
		if slices.Contains(knownKeys, key) || strings.HasSuffix(key, "FromEnv") {
			continue
		}
		for _, known := range knownKeys {
			if strings.EqualFold(key, known) {
				return nil, fmt.Errorf("%w: %s is not read; write %s: %q", ErrTrigger, key, known, md[key])
			}
		}
		if len(unknown) < maxUnread {
			unknown = append(unknown, brief(key))
		}
	}
	return unknown, nil
}

// clamp bounds a value to be reported. Activity is decided before.
func (t *trigger) clamp(v float64) float64 {
	if t.clampMin != nil {
		v = max(v, *t.clampMin)
	}
	if t.clampMax != nil {
		v = min(v, *t.clampMax)
	}
	return v
}

func (t *trigger) active(v float64) bool { return above(v, t.activation) }

// above tells whether a value makes a trigger active.
func above(v, activation float64) bool { return v > activation }
