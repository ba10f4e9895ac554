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

// Fault is one fault of a trigger's metadata, at one key. It wraps ErrTrigger,
// and query.ErrBadQuery if it is the query's.
type Fault struct {
	Key string
	// Err says what is wrong, and what to write. It begins with the key.
	Err error
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("%s: %s", ErrTrigger, f.Err) }

// Unwrap implements what errors.Is and errors.As look for.
func (f *Fault) Unwrap() []error { return []error{ErrTrigger, f.Err} }

// faults are all of a trigger's, in the order in which they are looked for.
type faults []*Fault

func (fs *faults) addf(key, format string, args ...any) {
	*fs = append(*fs, &Fault{key, fmt.Errorf(format, args...)})
}

// add says what is wrong with the value of a key.
func (fs *faults) add(key, value, format string, args ...any) {
	fs.addf(key, "%s: %q %w", key, value, fmt.Errorf(format, args...))
}

// parseTrigger reads a trigger's metadata. defaults apply where it says nothing
// about missing data. The error is the first fault.
func parseTrigger(md map[string]string, defaults Missing) (*trigger, error) {
	t, fs := readTrigger(md, defaults)
	if len(fs) > 0 {
		return nil, fs[0]
	}
	return t, nil
}

// Check returns all that is wrong with a trigger's metadata, and the keys that
// nothing reads. Where it finds nothing, GetMetricSpec answers. plan is how the
// query was understood, nil if it wasn't.
func Check(md map[string]string, queries *query.Engine) (found []*Fault, unread []string, plan *query.Plan) {
	return check(md, queries, query.Scope{})
}

func check(md map[string]string, queries *query.Engine, scope query.Scope) (found []*Fault, unread []string, plan *query.Plan) {
	t, fs := readTrigger(md, Missing{})
	if strings.TrimSpace(t.query) == "" {
		return fs, t.unknown, nil
	}
	plan, err := t.compile(queries, scope)
	if err != nil {
		fs = append(fs, err)
	}
	return fs, t.unknown, plan
}

// compile compiles the query.
func (t *trigger) compile(queries *query.Engine, scope query.Scope) (*query.Plan, *Fault) {
	plan, err := queries.CompileWithin(scope, t.query, t.over)
	if err != nil {
		return nil, &Fault{keyQuery, fmt.Errorf("%s: %w", keyQuery, err)}
	}
	return plan, nil
}

// readTrigger reads all that can be read.
func readTrigger(md map[string]string, defaults Missing) (t *trigger, fs faults) {
	t = &trigger{missing: defaults, query: md[keyQuery]}
	t.unknown = checkKeys(md, &fs)
	if strings.TrimSpace(t.query) == "" {
		fs.addf(keyQuery, "%s is missing; write for example %s: sum(vllm:num_requests_running{namespace=\"default\"})", keyQuery, keyQuery)
	}
	var err error
	if t.over, err = query.ParseOverTime(md[keyOverTime]); err != nil {
		fs.addf(keyOverTime, "%s: %w; write for example %s: avg, or leave it out", keyOverTime, err, keyOverTime)
		t.over = query.LastOne // so that the query can be judged
	}
	switch target, ok := optional(md, keyTarget, "4", &fs); {
	case !ok:
	case target == nil:
		fs.addf(keyTarget, "%s is missing; write the load that one replica should carry, for example %s: \"4\"", keyTarget, keyTarget)
	case *target < minTarget:
		fs.add(keyTarget, md[keyTarget], "must be greater than 0, and KEDA counts in thousandths; write for example %s: \"4\" or \"500m\"", keyTarget)
	default:
		t.target = *target
	}
	if activation, _ := optional(md, keyActivation, "0", &fs); activation != nil {
		t.activation = *activation
	}
	t.clampMin, _ = optional(md, keyClampMin, "1", &fs)
	t.clampMax, _ = optional(md, keyClampMax, "100", &fs)
	if t.clampMin != nil && t.clampMax != nil && *t.clampMin > *t.clampMax {
		fs.add(keyClampMin, md[keyClampMin], "is greater than %s %q; write for example %s: \"1\", %s: \"100\"", keyClampMax, md[keyClampMax], keyClampMin, keyClampMax)
	}
	t.readMissing(md, &fs)
	return t, fs
}

func (t *trigger) readMissing(md map[string]string, fs *faults) {
	value, ok := optional(md, keyIfNotFound, "0", fs)
	policy := md[keyOnMissing]
	switch {
	case policy == "" && value == nil:
		return // the default stands
	case policy == "":
		policy = Value.String() // a value alone says enough
	}
	var err error
	if t.missing.Policy, err = ParseOnMissing(policy); err != nil {
		fs.addf(keyOnMissing, "%s: %w; write for example %s: error, or leave it out", keyOnMissing, err, keyOnMissing)
		return
	}
	switch {
	case t.missing.Policy != Value && value != nil:
		fs.add(keyIfNotFound, md[keyIfNotFound], "goes with %s: value only, not with %s: %s", keyOnMissing, keyOnMissing, policy)
	case t.missing.Policy == Value && value == nil && ok:
		fs.add(keyOnMissing, policy, "needs a %s, for example %s: \"1\"", keyIfNotFound, keyIfNotFound)
	case value != nil:
		t.missing.Value = *value
	}
}

// optional reads a number or a quantity; nil if the key is absent or empty. ok
// is false if it is neither.
func optional(md map[string]string, key, example string, fs *faults) (number *float64, ok bool) {
	s := md[key]
	if strings.TrimSpace(s) == "" {
		return nil, true
	}
	v, err := ParseQuantity(s)
	if err != nil {
		fs.add(key, s, "%w; write a number or a Kubernetes quantity, for example %s: %q", err, key, example)
		return nil, false
	}
	return &v, true
}

// checkKeys refuses keys that differ from a known one in case only, which are
// always typing errors, and returns those it can't judge.
func checkKeys(md map[string]string, fs *faults) (unknown []string) {
	for _, key := range slices.Sorted(maps.Keys(md)) {
		if slices.Contains(knownKeys, key) || strings.HasSuffix(key, "FromEnv") {
			continue
		}
		if i := slices.IndexFunc(knownKeys, func(known string) bool { return strings.EqualFold(key, known) }); i >= 0 {
			fs.addf(key, "%s is not read; write %s: %q", key, knownKeys[i], md[key])
			continue
		}
		if len(unknown) < maxUnread {
			unknown = append(unknown, brief(key))
		}
	}
	return unknown
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
