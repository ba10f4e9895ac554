// Package naming makes Prometheus names of OpenTelemetry's, the same way where
// samples are stored and where queries look for them. It is Prometheus'
// strategy UnderscoreEscapingWithoutSuffixes with Prometheus' own defaults.
package naming

import "github.com/prometheus/otlptranslator"

var (
	metrics = otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithoutSuffixes)
	// Both options are Prometheus' defaults, and not the library's. The second
	// keeps labels that were scraped as they were scraped.
	labels = otlptranslator.LabelNamer{
		UnderscoreLabelSanitization: true, //nolint:staticcheck // deprecated there, and still what Prometheus does
		PreserveMultipleUnderscores: true,
	}
	units otlptranslator.UnitNamer
)

// Metric returns a metric's name as it is stored. Names of which the escaping
// leaves nothing are an error.
func Metric(name string) (string, error) {
	return metrics.Build(otlptranslator.Metric{Name: name})
}

// Unit returns a unit as Prometheus has it: "By" is bytes. Text that is no unit is
// left with what a name may have.
func Unit(unit string) string { return units.Build(unit) }

// Label returns a label's name as it is stored. Names of which the escaping
// leaves nothing are an error.
func Label(name string) (string, error) {
	return labels.Build(name)
}
