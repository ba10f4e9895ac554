package scaler

import (
	"cmp"
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

// Metadata is a trigger's metadata as understood.
type Metadata struct {
	Query              string
	Over               query.OverTime
	Target, Activation float64
	ClampMin, ClampMax *float64
	Missing            Missing
	Unread             []string // keys that nothing reads, sorted; the first few
}

// Fault is one fault of a trigger's metadata, at one key. It wraps ErrTrigger,
// and query.ErrBadQuery if it is the query's.
type Fault struct {
	Key string
	// Err is what is wrong, and what to write. It begins with the key.
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

// add adds what is wrong with the value of a key.
func (fs *faults) add(key, value, format string, args ...any) {
	fs.addf(key, "%s: %q %w", key, value, fmt.Errorf(format, args...))
}

// Check returns all that is wrong with a trigger's metadata, and the keys that
// nothing reads. Where it finds nothing, GetMetricSpec answers in a namespace with
// the scope. plan is how the query was understood, nil if it wasn't.
func Check(md map[string]string, queries *query.Engine, scope query.Scope) (found []*Fault, unread []string, plan *query.Plan) {
	t, found := readTrigger(md, Missing{})
	if blank(t.Query) {
		return found, t.Unread, nil
	}
	plan, fault := t.compile(queries, scope)
	if fault != nil {
		found = append(found, fault)
	}
	return found, t.Unread, plan
}

// compile compiles the query.
func (t *Metadata) compile(queries *query.Engine, scope query.Scope) (*query.Plan, *Fault) {
	plan, err := queries.Compile(scope, t.Query, t.Over)
	if err != nil {
		return nil, &Fault{keyQuery, fmt.Errorf("%s: %w", keyQuery, err)}
	}
	return plan, nil
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

// readTrigger reads all that can be read of a trigger's metadata. defaults apply
// where it has nothing about missing data.
func readTrigger(md map[string]string, defaults Missing) (t *Metadata, fs faults) {
	t = &Metadata{Missing: defaults, Query: md[keyQuery]}
	t.Unread = checkKeys(md, &fs)
	if blank(t.Query) {
		fs.addf(keyQuery, "%s is missing; write for example %s: sum(vllm:num_requests_running{namespace=\"default\"})", keyQuery, keyQuery)
	}
	var err error
	if t.Over, err = query.ParseOverTime(md[keyOverTime]); err != nil {
		fs.addf(keyOverTime, "%s: %w; write for example %s: avg, or leave it out", keyOverTime, err, keyOverTime)
		t.Over = query.LastOne // so that the query can be judged
	}
	switch target := optional(md, keyTarget, "4", &fs); {
	case blank(md[keyTarget]):
		fs.addf(keyTarget, "%s is missing; write the load that one replica should carry, for example %s: \"4\"", keyTarget, keyTarget)
	case target == nil:
	case *target < minTarget:
		fs.add(keyTarget, md[keyTarget], "must be greater than 0, and KEDA counts in thousandths; write for example %s: \"4\" or \"500m\"", keyTarget)
	default:
		t.Target = *target
	}
	if activation := optional(md, keyActivation, "0", &fs); activation != nil {
		t.Activation = *activation
	}
	t.ClampMin = optional(md, keyClampMin, "1", &fs)
	t.ClampMax = optional(md, keyClampMax, "100", &fs)
	if t.ClampMin != nil && t.ClampMax != nil && *t.ClampMin > *t.ClampMax {
		fs.add(keyClampMin, md[keyClampMin], "is greater than %s %q; write for example %s: \"1\", %s: \"100\"", keyClampMax, md[keyClampMax], keyClampMin, keyClampMax)
	}
	t.readMissing(md, &fs)
	return t, fs
}

func (t *Metadata) readMissing(md map[string]string, fs *faults) {
	value := optional(md, keyIfNotFound, "0", fs)
	policy := md[keyOnMissing]
	if policy == "" && value == nil {
		return // the default stands
	}
	var err error
	if t.Missing.Policy, err = ParseOnMissing(cmp.Or(policy, Value.String())); err != nil { // a value alone says enough
		fs.addf(keyOnMissing, "%s: %w; write for example %s: error, or leave it out", keyOnMissing, err, keyOnMissing)
		return
	}
	switch {
	case t.Missing.Policy != Value && value != nil:
		fs.add(keyIfNotFound, md[keyIfNotFound], "goes with %s: value only, not with %s: %s", keyOnMissing, keyOnMissing, policy)
	case t.Missing.Policy == Value && blank(md[keyIfNotFound]):
		fs.add(keyOnMissing, policy, "needs a %s, for example %s: \"1\"", keyIfNotFound, keyIfNotFound)
	case value != nil:
		t.Missing.Value = *value
	}
}

// optional reads a number or a quantity; nil if the key is absent or empty, or if
// it is neither.
func optional(md map[string]string, key, example string, fs *faults) *float64 {
	s := md[key]
	if blank(s) {
		return nil
	}
	v, err := ParseQuantity(s)
	if err != nil {
		fs.add(key, s, "%w; write a number or a Kubernetes quantity, for example %s: %q", err, key, example)
		return nil
	}
	return &v
}

// checkKeys refuses keys that differ from a known one in case only, which are
// always typing errors, and returns those it can't judge.
func checkKeys(md map[string]string, fs *faults) (unknown []string) {
	for _, key := range slices.Sorted(maps.Keys(md)) {
		if slices.Contains(knownKeys, key) || strings.HasSuffix(key, "FromEnv") {
			continue
		}
		i := slices.IndexFunc(knownKeys, func(known string) bool { return strings.EqualFold(key, known) })
		if i >= 0 {
			fs.addf(key, "%s is not read; write %s: %q", key, knownKeys[i], md[key])
		} else if len(unknown) < maxUnread {
			unknown = append(unknown, brief(key))
		}
	}
	return unknown
}

// clamp bounds a value to be reported. Activity is decided before.
func (t *Metadata) clamp(v float64) float64 {
	if t.ClampMin != nil {
		v = max(v, *t.ClampMin)
	}
	if t.ClampMax != nil {
		v = min(v, *t.ClampMax)
	}
	return v
}

func (t *Metadata) active(v float64) bool { return v > t.Activation }
