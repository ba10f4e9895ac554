package scaler

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// forgetAfter is how long after KEDA's last call a trigger is still listed: KEDA
	// does not report that a ScaledObject was deleted.
	forgetAfter = 15 * time.Minute
	// maxLabel bounds what a label quotes; Kubernetes' names are no longer.
	maxLabel = 253
)

// The metrics of the listed triggers, and of how many are listed.
var (
	triggerValue  = triggerDesc("value", "The value of the last answer to KEDA, before clamping; absent while the scaler holds.")
	triggerTarget = triggerDesc("target", "The target that one replica should carry.")
	triggerActive = triggerDesc("active", "Whether the trigger is active by the last answer to KEDA; absent while the scaler holds.")
	triggerHeld   = triggerDesc("held", "Whether the last answer to KEDA was an error by which KEDA holds.")
	triggerAsked  = triggerDesc("asked_timestamp_seconds", "When KEDA asked last.")
	triggersTotal = prometheus.NewDesc("keda_otel_scaler_triggers",
		"Triggers that the scaler has in memory, by whether there are metrics of each (listed); KEDA does not tell which were deleted.", []string{"listed"}, nil)
)

func triggerDesc(name, help string) *prometheus.Desc {
	labels := []string{"scaledobject_namespace", "scaledobject", "metric"}
	return prometheus.NewDesc("keda_otel_scaler_trigger_"+name, help, labels, nil)
}

// listed collects the triggers that have metrics of their own: of those that KEDA
// asks about, the ones that it asked about first. The others are counted.
type listed struct{ s *Server }

// idle reports whether KEDA neither has a stream of the trigger nor has asked about it
// since a moment.
func (st *state) idle(since time.Time) bool {
	return st.streams.Load() == 0 && st.askedAt().Before(since)
}

// states returns the listed triggers of all.
func (l listed) states(all []*state) []*state {
	since := l.s.opts.Now().Add(-forgetAfter)
	all = slices.DeleteFunc(all, func(st *state) bool { return st.idle(since) })
	slices.SortFunc(all, func(a, b *state) int {
		return cmp.Or(cmp.Compare(a.first, b.first), a.key.Compare(b.key.Object), cmp.Compare(a.key.Query, b.key.Query))
	})
	return all[:min(len(all), l.s.opts.MaxListed)]
}

// Describe implements prometheus.Collector.
func (l listed) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{triggerValue, triggerTarget, triggerActive, triggerHeld, triggerAsked, triggersTotal} {
		to <- d
	}
}

// Collect implements prometheus.Collector. The cache of triggers is locked only while
// it is copied.
func (l listed) Collect(to chan<- prometheus.Metric) {
	all := l.s.triggers.Values()
	total := len(all)
	all = l.states(all)
	// A query that was edited is another trigger with the same metric: the newer
	// is KEDA's.
	newest := make(map[[3]string]*state, len(all))
	for _, st := range all {
		key := [3]string{label(st.key.Namespace), label(st.key.Name), label(st.metric)}
		if other := newest[key]; other == nil || other.askedAt().Before(st.askedAt()) {
			newest[key] = st
		}
	}
	for key, st := range newest {
		st.collect(to, key[:])
	}
	for listed, n := range map[string]int{"true": len(all), "false": total - len(all)} {
		to <- prometheus.MustNewConstMetric(triggersTotal, prometheus.GaugeValue, float64(n), listed)
	}
}

func (st *state) collect(to chan<- prometheus.Metric, labels []string) {
	gauge := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(triggerTarget, st.trigger.Load().Target)
	gauge(triggerAsked, float64(st.askedAt().UnixMilli())/1e3)
	switch d := st.last.Load(); {
	case d == nil:
	case d.err != nil:
		gauge(triggerHeld, 1)
	default:
		active := 0.0
		if d.active {
			active = 1
		}
		gauge(triggerHeld, 0)
		gauge(triggerValue, d.value)
		gauge(triggerActive, active)
	}
}

// label is a name of KEDA's, bounded and valid.
func label(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxLabel)], "") }
