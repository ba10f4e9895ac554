package httpapi

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// The ends of time for clients that name none, as Prometheus and its client
// library have them.
var (
	minTime = time.Unix(math.MinInt64/1000+62135596801, 0).UTC()
	maxTime = time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC()

	minTimeText = minTime.Format(time.RFC3339Nano)
	maxTimeText = maxTime.Format(time.RFC3339Nano)
)

// transit is how long a request may take from the moment its sender wrote the
// time into it to us: a look-up of our name, a connection, a busy machine.
const transit = 500 * time.Millisecond

// parseTime reads seconds since the epoch or RFC 3339.
func parseTime(s string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		// Written so that NaN fails, too.
		if !(seconds >= float64(minTime.Unix()) && seconds <= float64(maxTime.Unix())) {
			return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
		}
		whole, fraction := math.Modf(seconds)
		ms := math.Round(fraction * 1000)
		return time.Unix(int64(whole), int64(ms)*int64(time.Millisecond)).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	switch s { // years that time.Parse can't read
	case minTimeText:
		return minTime, nil
	case maxTimeText:
		return maxTime, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
}

// momentOf returns the moment at which an instant query is evaluated.
//
// KEDA cuts its time down to whole seconds. Taken at its word, this would hide
// what has come since that second began, up to a second of data: the very push
// that KEDA is to react to. A time written without a fraction therefore means
// some moment within its second, as it does to KEDA, and the query is evaluated
// now if it may have been sent within that second: if now is less than a second,
// and the transit, past it. Any other time is exact: one with a fraction (".0"
// too), one that is older, one that is still to come.
func momentOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	at, err := parseTime(text)
	if err != nil {
		return at, badParameter("time", fmt.Errorf("invalid time value for 'time': %w", err))
	}
	whole := at.Nanosecond() == 0 && !strings.ContainsAny(text, ".,")
	if age := now.Sub(at); whole && age >= 0 && age < time.Second+transit {
		return now, nil
	}
	return at, nil
}

// timeParameter is optional, unlike its two namesakes of a range query.
func (r *request) timeParameter(name string, otherwise time.Time) (time.Time, error) {
	text := r.form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return t, badParameter(name, fmt.Errorf("invalid time value for '%s': %w", name, err))
	}
	return t, nil
}

// window is the optional start and end of what is not a query.
func (r *request) window() (start, end time.Time, err error) {
	if start, err = r.timeParameter("start", minTime); err == nil {
		end, err = r.timeParameter("end", maxTime)
	}
	return start, end, err
}

// parseDuration reads seconds or Prometheus' notation.
func parseDuration(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		ns := seconds * float64(time.Second)
		if !(ns >= math.MinInt64 && ns < math.MaxInt64) {
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", s)
		}
		return time.Duration(ns), nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
	}
	return time.Duration(d), nil
}

// timeoutOf is what the client allows; more than we do has no effect.
func timeoutOf(text string, most time.Duration) (time.Duration, error) {
	if text == "" {
		return most, nil
	}
	timeout, err := parseDuration(text)
	switch {
	case err != nil:
		return 0, badParameter("timeout", err)
	case timeout <= 0:
		return 0, badParameter("timeout", fmt.Errorf("timeout must be positive, got %s", timeout))
	}
	return min(timeout, most), nil
}

// limit is how many elements the client wants at most; 0 is all.
func (r *request) limit() (int, error) {
	text := r.form.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err == nil && n < 0 {
		err = errors.New("limit must be non-negative")
	}
	if err != nil {
		return 0, badParameter("limit", err)
	}
	return n, nil
}

// hint is a limit with which an element too many can still be noticed.
func hint(limit int) int {
	if limit > 0 && limit < math.MaxInt {
		return limit + 1
	}
	return limit
}

// selectors reads the match[] parameters. None may match everything there is.
func selectors(p parser.Parser, texts []string) ([][]*labels.Matcher, error) {
	sets, err := p.ParseMetricSelectors(texts)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		picks := false
		for _, m := range set {
			picks = picks || !m.Matches("")
		}
		if !picks {
			return nil, errors.New("match[] must contain at least one non-empty matcher")
		}
	}
	return sets, nil
}
