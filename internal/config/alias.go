package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/pflag"
)

// alias is a variable of kedify/otel-add-on that stands for one of our flags.
type alias struct {
	variable, flag, example string
	convert                 func(string) (string, error) // its value to the flag's
}

var aliases = []alias{
	{"OTLP_RECEIVER_PORT", "otlp-grpc-address", "4317", portToAddress},
	{"KEDA_EXTERNAL_SCALER_PORT", "keda-address", "4318", portToAddress},
	{"REST_API_PORT", "http-address", "9090", portToAddress},
	{"INTERNAL_METRICS_PORT", "telemetry-address", "8080", portToAddress},
	{"METRIC_STORE_RETENTION_SECONDS", "retention", "120", secondsToDuration},
}

// withoutMeaning are the variables of otel-add-on that nothing here answers to,
// and why.
var withoutMeaning = []struct{ variable, why string }{
	{"METRIC_STORE_LAZY_SERIES", "every series is stored when it arrives, and --max-series bounds them"},
	{"METRIC_STORE_LAZY_AGGREGATES", "aggregates are computed from the samples when they are asked for, never kept"},
	{"IS_ACTIVE_POLLING_INTERVAL_MS", "streams are driven by the data and send a change as it happens"},
	{"OTLP_CERTIFICATE_RELOAD_INTERVAL", "this version does not serve TLS, so there is no certificate to reload"},
}

// foreignFlags are those that otel-add-on's chart gives its binary. They are
// taken and noted, so that a change of image alone starts.
var foreignFlags = map[string]string{
	"zap-log-level":        "--log-level decides",
	"zap-stacktrace-level": "stacks are logged where a call panicked, and nowhere else",
}

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
	notes, err = refuseTLS(lookup)
	if err != nil {
		return nil, err
	}
	found, missingNotes, err := c.missingAliases(lookup)
	if err != nil {
		return nil, err
	}
	notes = append(notes, missingNotes...)
	for _, a := range append(found, aliases...) {
		value := lookup(a.variable)
		if value == "" {
			continue
		}
		if o, ok := c.origins[a.flag]; ok {
			notes = append(notes, behind(a.variable, value, o.name, o.value))
			continue
		}
		converted, err := a.convert(value)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w, for example %s=%s", a.variable, value, err, a.variable, a.example)
		}
		if err := c.set(flags, a.flag, converted, origin{a.variable, value, a.example}); err != nil {
			return nil, err
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
	policy := alias{valueIfNotFound, "on-missing", "0", constant(MissingValue)}
	number := alias{valueIfNotFound, "value-if-not-found", "0", func(text string) (string, error) { return text, nil }}

	own, ownPolicy := c.origins["on-missing"]
	switch {
	case isZero(value) && !wantError:
		notes = append(notes, fmt.Sprintf("%s=%s has no effect: it is otel-add-on's default, and what missing data means is decided by why it is missing; --on-missing=zero makes it 0 always", valueIfNotFound, value))
	case wantError:
		found = append(found, alias{errorIfNotFound, "on-missing", "true", constant(MissingError)})
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

// refuseTLS stops a start that would answer in plaintext somebody who asked for
// TLS. Only KEDA's side has a switch, so there a certificate may lie unused.
func refuseTLS(lookup func(string) string) (notes []string, err error) {
	const enable = "KEDA_TLS_ENABLED"
	enabled, err := boolVariable(lookup, enable)
	if err != nil {
		return nil, err
	}
	switchedOff := !enabled && lookup(enable) != ""
	asking := []string{"OTLP_TLS_CA_FILE", "OTLP_TLS_CERT_FILE", "OTLP_TLS_KEY_FILE"}
	if enabled {
		asking = append(asking, enable)
	}
	for _, variable := range []string{"KEDA_TLS_CERT_FILE", "KEDA_TLS_KEY_FILE"} {
		if value := lookup(variable); switchedOff && value != "" {
			notes = append(notes, behind(variable, value, enable, lookup(enable)))
		} else {
			asking = append(asking, variable)
		}
	}
	for _, variable := range asking {
		if value := lookup(variable); value != "" {
			return nil, fmt.Errorf("%s=%s: this version does not serve TLS and will not answer in plaintext instead; unset it, for example %s=", variable, value, variable)
		}
	}
	return notes, nil
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
