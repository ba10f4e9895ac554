package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate refuses settings that cannot work, naming each as the user wrote it.
func (c *Config) Validate() error {
	return cmp.Or( // the first error: one clear line serves its reader better than four
		c.validateAddresses(),
		c.validateDurations(),
		c.validateLimits(),
		c.validateChoices(),
		c.validateAccess(),
	)
}

func (c *Config) validateAddresses() error {
	listeners := []struct{ flag, address string }{
		{"otlp-grpc-address", c.OTLPGRPCAddress},
		{"otlp-http-address", c.OTLPHTTPAddress},
		{"keda-address", c.KEDAAddress},
		{"http-address", c.HTTPAddress},
		{"telemetry-address", c.TelemetryAddress},
	}
	if c.AdmissionAddress != "" {
		listeners = append(listeners, struct{ flag, address string }{"admission-address", c.AdmissionAddress})
	}
	for i, l := range listeners {
		host, port, err := splitAddress(l.address)
		if err != nil {
			return c.refuse(l.flag, l.address, "want host:port with a port from 0 to 65535")
		}
		for _, other := range listeners[:i] {
			otherHost, otherPort, _ := splitAddress(other.address)
			if port != 0 && port == otherPort && (host == otherHost || isWildcard(host) || isWildcard(otherHost)) {
				return c.refuse(l.flag, l.address, "the same address as "+c.Setting(other.flag, other.address)+"; give each server its own")
			}
		}
	}
	return nil
}

func splitAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err
}

// isWildcard says whether host takes a port on every address of the machine, so
// that no other listener gets it on any.
func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// leastSnapshot keeps a mistaken interval from being all that the disk does.
const leastSnapshot = 100 * time.Millisecond

// maxRetention is far below the 24 days that a ring's 32 bits of time reach.
const maxRetention = 7 * 24 * time.Hour

func (c *Config) validateDurations() error {
	switch {
	case c.Retention <= 0:
		return c.refuse("retention", c.Retention, "want a duration above 0")
	case c.Retention > maxRetention:
		return c.refuse("retention", c.Retention, "want at most "+maxRetention.String()+"; what is older belongs into a database")
	case c.MaxRetention < c.Retention:
		return fmt.Errorf("%s: want at least the retention, %s: write --max-retention=%s or more, or a shorter retention",
			c.Setting("max-retention", c.MaxRetention), c.Setting("retention", c.Retention), c.Retention)
	case c.MaxRetention > maxRetention:
		return c.refuse("max-retention", c.MaxRetention, "want at most "+maxRetention.String()+"; what is older belongs into a database")
	case c.Lookback < 0:
		return c.refuse("lookback", c.Lookback, "want 0 (as long as the retention) or a duration above 0")
	case c.Lookback > c.Retention:
		return c.refuse("lookback", c.Lookback, "want at most the retention, "+c.Setting("retention", c.Retention)+", since nothing older is stored")
	case c.WarmUp < 0:
		return c.refuse("warm-up", c.WarmUp, "want 0 or a duration above 0")
	case c.SnapshotInterval < leastSnapshot:
		return c.refuse("snapshot-interval", c.SnapshotInterval, "want at least "+leastSnapshot.String())
	case c.SnapshotPath != "" && c.SnapshotInterval > c.Retention:
		return c.refuse("snapshot-interval", c.SnapshotInterval, "want at most the retention, "+c.Setting("retention", c.Retention)+", since an older snapshot is none")
	case c.QueryTimeout <= 0:
		return c.refuse("query-timeout", c.QueryTimeout, "want a duration above 0")
	case c.ShutdownTimeout <= 0 || c.ShutdownTimeout > MaxShutdown:
		return c.refuse("shutdown-timeout", c.ShutdownTimeout, "want a duration above 0 and at most "+MaxShutdown.String())
	}
	return nil
}

func (c *Config) validateLimits() error {
	limits := []struct {
		flag           string
		value          int
		atLeast        int
		atMost         int
		whyTheseLimits string
	}{
		{"max-series", c.MaxSeries, 1, math.MaxInt32, ""},
		{"max-series-per-metric", c.MaxSeriesPerMetric, 1, math.MaxInt, ""},
		{"max-samples-per-series", c.MaxSamplesPerSeries, 2, 1 << 24, ", since a rate needs two"},
		{"max-request-bytes", c.MaxRequestBytes, 1, math.MaxInt32, ""},
		{"max-streams", c.MaxStreams, 1, math.MaxInt32, ""},
		{"max-connections", c.MaxConnections, 1, math.MaxInt32, ""},
		{"max-inflight-bytes", c.MaxInflightBytes, 0, math.MaxInt, ""},
		{"query-max-samples", c.QueryMaxSamples, 1, math.MaxInt, ""},
		{"query-cache-size", c.QueryCacheSize, 1, math.MaxInt, ""},
		{"query-max-concurrency", c.QueryMaxConcurrency, 0, math.MaxInt32, ""},
		{"snapshot-max-bytes", c.SnapshotMaxBytes, 1, math.MaxInt, ""},
		{"telemetry-max-triggers", c.TelemetryMaxTriggers, 0, math.MaxInt32, ""},
	}
	for _, l := range limits {
		if l.value < l.atLeast {
			return c.refuse(l.flag, l.value, "want at least "+strconv.Itoa(l.atLeast)+l.whyTheseLimits)
		}
		if l.value > l.atMost {
			return c.refuse(l.flag, l.value, "want at most "+strconv.Itoa(l.atMost))
		}
	}
	return nil
}

// storedLabel is what the receiver's escaping leaves of a label's name.
var storedLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// EnforceableLabel tells whether --enforce-namespace-label may name a label.
func EnforceableLabel(name string) bool {
	return storedLabel.MatchString(name) && name != "__name__"
}

func (c *Config) validateChoices() error {
	if err := c.validateMissing(); err != nil {
		return err
	}
	if !slices.Contains([]string{LogText, LogJSON}, c.LogFormat) {
		return c.refuse("log-format", c.LogFormat, "want text or json")
	}
	if _, err := regexp.Compile(c.HTTPCORSOrigin); err != nil {
		return c.refuse("http-cors-origin", c.HTTPCORSOrigin, "want a regular expression ("+err.Error()+")")
	}
	if c.NamespaceLabel != "" && !EnforceableLabel(c.NamespaceLabel) {
		return c.refuse("enforce-namespace-label", c.NamespaceLabel, "want a label as stored, of letters, digits and _")
	}
	if c.AdmissionService == "" || strings.ContainsAny(c.AdmissionService, ".:/ ") {
		return c.refuse("admission-service", c.AdmissionService, "want the name alone, without namespace and port")
	}
	if u, err := url.Parse(c.TracesEndpoint); c.TracesEndpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
		return c.refuse("traces-endpoint", c.TracesEndpoint, "want the URL of an OTLP/gRPC receiver, http or https with a host and no path")
	}
	for _, name := range c.ResourceAttributes {
		if name == "" || strings.TrimSpace(name) != name || name == "*" && len(c.ResourceAttributes) > 1 {
			return c.refuse("resource-attributes", strings.Join(c.ResourceAttributes, ","),
				"want attribute names with commas and no spaces between them, * alone for all, or nothing for none")
		}
	}
	return nil
}

func (c *Config) validateMissing() error {
	_, valueSet := c.origins["value-if-not-found"]
	switch {
	case !slices.Contains([]string{MissingHold, MissingZero, MissingError, MissingValue}, c.OnMissing):
		return c.refuse("on-missing", c.OnMissing, "want hold, zero, error or value")
	case math.IsNaN(c.ValueIfNotFound) || math.IsInf(c.ValueIfNotFound, 0) || c.ValueIfNotFound < 0:
		// KEDA turns a negative, NaN or infinite answer into 0, which nobody asked for.
		return c.refuse("value-if-not-found", c.ValueIfNotFound, "want a finite number, 0 or above")
	case valueSet && c.OnMissing != MissingValue:
		return c.refuse("value-if-not-found", c.ValueIfNotFound, "has no effect with "+c.Setting("on-missing", c.OnMissing)+"; add --on-missing=value or leave it out")
	case c.OnMissing == MissingValue && c.origins != nil && !valueSet:
		return errors.New(c.Setting("on-missing", c.OnMissing) + ": say which value, for example --value-if-not-found=1")
	}
	return nil
}
