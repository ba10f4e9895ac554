package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/pflag"
)

// alias is a variable of kedify/otel-add-on that stands for one of our flags, or
// for the same of several listeners.
type alias struct {
	variable string
	flags    []string
	example  string
	convert  func(string) (string, error) // its value to the flag's
}

var aliases = []alias{
	{"OTLP_RECEIVER_PORT", []string{"otlp-grpc-address"}, "4317", portToAddress},
	{"KEDA_EXTERNAL_SCALER_PORT", []string{"keda-address"}, "4318", portToAddress},
	{"REST_API_PORT", []string{"http-address"}, "9090", portToAddress},
	{"INTERNAL_METRICS_PORT", []string{"telemetry-address"}, "8080", portToAddress},
	{"METRIC_STORE_RETENTION_SECONDS", []string{"retention"}, "120", secondsToDuration},
	// The peer has OTLP over gRPC alone. Left without TLS, ours over HTTP would be
	// a way around it.
	{"OTLP_TLS_CERT_FILE", []string{"otlp-grpc-tls-cert-file", "otlp-http-tls-cert-file"}, "/etc/tls/tls.crt", asItIs},
	{"OTLP_TLS_KEY_FILE", []string{"otlp-grpc-tls-key-file", "otlp-http-tls-key-file"}, "/etc/tls/tls.key", asItIs},
	{"OTLP_TLS_CA_FILE", []string{"otlp-grpc-tls-client-ca-file", "otlp-http-tls-client-ca-file"}, "/etc/tls/ca.crt", asItIs},
	{"OTLP_CERTIFICATE_RELOAD_INTERVAL", []string{"tls-reload-interval"}, "5m", asItIs},
}

// withoutMeaning are the variables of otel-add-on that nothing here answers to,
// and why.
var withoutMeaning = []struct{ variable, why string }{
	{"METRIC_STORE_LAZY_SERIES", "every series is stored when it arrives, and --max-series bounds them"},
	{"METRIC_STORE_LAZY_AGGREGATES", "aggregates are computed from the samples when they are asked for, never stored"},
	{"IS_ACTIVE_POLLING_INTERVAL_MS", "streams are driven by the data and send a change as it happens"},
}

// foreignFlags are those that otel-add-on's chart gives its binary. They are
// taken and noted, so that a change of image alone starts.
var foreignFlags = map[string]string{
	"zap-log-level":        "--log-level decides",
	"zap-stacktrace-level": "stacks are logged where a call panicked, and nowhere else",
}

func asItIs(text string) (string, error) { return text, nil }

func portToAddress(text string) (string, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", errors.New("want a port from 0 to 65535")
	}
	return ":" + strconv.FormatUint(port, 10), nil
}

func secondsToDuration(text string) (string, error) {
	seconds, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return "", errors.New("want a whole number of seconds")
	}
	return strconv.FormatUint(seconds, 10) + "s", nil
}

// loadAliases applies otel-add-on's variables to the settings nobody has made
// yet. A variable that is set but empty, as charts render them, counts as unset.
func (c *Config) loadAliases(flags *pflag.FlagSet, lookupEnv func(string) (string, bool)) (notes []string, err error) {
	lookup := func(variable string) string {
		value, _ := lookupEnv(variable)
		return value
	}
	found, notes, err := c.kedaTLSAliases(lookup)
	if err != nil {
		return nil, err
	}
	missing, missingNotes, err := c.missingAliases(lookup)
	if err != nil {
		return nil, err
	}
	notes = append(notes, missingNotes...)
	for _, a := range slices.Concat(found, missing, aliases) {
		note, err := c.apply(a, flags, lookup(a.variable))
		if err != nil {
			return nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(foreignFlags)) {
		if flag := flags.Lookup(name); flag.Changed {
			notes = append(notes, fmt.Sprintf("--%s=%s has no effect: %s", name, flag.Value, foreignFlags[name]))
		}
	}
	for _, w := range withoutMeaning {
		if value := lookup(w.variable); value != "" {
			notes = append(notes, fmt.Sprintf("%s=%s has no effect: %s", w.variable, value, w.why))
		}
	}
	return notes, nil
}

// apply sets what nobody has set yet of an alias' flags. The note says that this
// was none.
func (c *Config) apply(a alias, flags *pflag.FlagSet, value string) (note string, err error) {
	if value == "" {
		return "", nil
	}
	converted, err := a.convert(value)
	if err != nil {
		return "", fmt.Errorf("%s=%s: %w, for example %s=%s", a.variable, value, err, a.variable, a.example)
	}
	applied := false
	for _, flag := range a.flags {
		if o, ok := c.origins[flag]; ok {
			note = behind(a.variable, value, o.name, o.value)
			continue
		}
		if err := c.set(flags, flag, converted, origin{a.variable, value, a.example}); err != nil {
			return "", err
		}
		applied = true
	}
	if applied {
		note = ""
	}
	return note, nil
}

// behind is the note for a variable that another setting beats.
func behind(variable, value, first, firstValue string) string {
	return fmt.Sprintf("%s=%s has no effect: %s=%s comes first", variable, value, first, firstValue)
}

const (
	errorIfNotFound = "METRIC_STORE_ERROR_IF_NOT_FOUND"
	valueIfNotFound = "METRIC_STORE_VALUE_IF_NOT_FOUND"
)

// missingAliases are the two variables that together make --on-missing: the
// error wins, as it does in otel-add-on. Its chart always renders both, with
// false and 0, so these values are nobody's decision: taken at their word, a
// change of image would turn every hold into a zero.
func (c *Config) missingAliases(lookup func(string) string) (found []alias, notes []string, err error) {
	wantError, err := boolVariable(lookup, errorIfNotFound)
	if err != nil {
		return nil, nil, err
	}
	value := lookup(valueIfNotFound)
	constant := func(policy string) func(string) (string, error) {
		return func(string) (string, error) { return policy, nil }
	}
	policy := alias{valueIfNotFound, []string{"on-missing"}, "0", constant(MissingValue)}
	number := alias{valueIfNotFound, []string{"value-if-not-found"}, "0", asItIs}

	own, ownPolicy := c.origins["on-missing"]
	switch {
	case isZero(value) && !wantError:
		notes = append(notes, fmt.Sprintf("%s=%s has no effect: it is otel-add-on's default, and what missing data means is decided by why it is missing; --on-missing=zero makes it 0 always", valueIfNotFound, value))
	case wantError:
		found = append(found, alias{errorIfNotFound, []string{"on-missing"}, "true", constant(MissingError)})
		if value != "" {
			notes = append(notes, behind(valueIfNotFound, value, errorIfNotFound, "true"))
		}
	case value != "" && !ownPolicy:
		found = append(found, policy, number)
	case value != "" && c.OnMissing == MissingValue:
		found = append(found, number)
	case value != "":
		notes = append(notes, behind(valueIfNotFound, value, own.name, own.value))
	case lookup(errorIfNotFound) != "":
		notes = append(notes, errorIfNotFound+"=false has no effect: --on-missing decides, and --on-missing=zero is what otel-add-on did")
	}
	return found, notes, nil
}

func isZero(text string) bool {
	value, err := strconv.ParseFloat(text, 64)
	return err == nil && value == 0
}

// kedaTLSAliases are the variables of KEDA's listener, the only one that has a
// switch: off, a certificate may lie unused; on, there has to be one.
func (c *Config) kedaTLSAliases(lookup func(string) string) (found []alias, notes []string, err error) {
	const enable = "KEDA_TLS_ENABLED"
	enabled, err := boolVariable(lookup, enable)
	if err != nil {
		return nil, nil, err
	}
	files := []alias{
		{"KEDA_TLS_CERT_FILE", []string{"keda-tls-cert-file"}, "/etc/tls/tls.crt", asItIs},
		{"KEDA_TLS_KEY_FILE", []string{"keda-tls-key-file"}, "/etc/tls/tls.key", asItIs},
	}
	own, ownCert := c.origins["keda-tls-cert-file"]
	switch value := lookup(enable); {
	case value == "" || enabled && (ownCert || lookup(files[0].variable) != ""):
		return files, nil, nil
	case enabled:
		return nil, nil, fmt.Errorf("%s=%s: there is no certificate; add %s and %s, for example %s=%s",
			enable, value, files[0].variable, files[1].variable, files[0].variable, files[0].example)
	case ownCert:
		return files, []string{behind(enable, value, own.name, own.value)}, nil
	default:
		for _, f := range files {
			if unused := lookup(f.variable); unused != "" {
				notes = append(notes, behind(f.variable, unused, enable, value))
			}
		}
		return nil, notes, nil
	}
}

func boolVariable(lookup func(string) string, variable string) (bool, error) {
	text := lookup(variable)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s=%s: want true or false, for example %s=true", variable, text, variable)
	}
	return value, nil
}
