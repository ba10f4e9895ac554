package scaler

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// forgetAfter is how long after KEDA's last question a trigger is still
	// listed: nobody tells that a ScaledObject was deleted.
	forgetAfter = 15 * time.Minute
	// maxLabel bounds what a label quotes; Kubernetes' names are no longer.
	maxLabel = 253
)

// listed are the triggers that /metrics tells of one by one: the first so many
// that KEDA asks about. The others are counted.
type listed struct {
	s    *Server
	most int
	n    atomic.Int32 // of states, for a poll to look at without the lock

	mu     sync.Mutex // guards what follows; taken after objects.mu
	states map[*state]struct{}

	value, target, active, held, asked, triggers *prometheus.Desc
}

func newListed(s *Server, most int) *listed {
	of := []string{"scaledobject_namespace", "scaledobject", "metric"}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("keda_otel_scaler_trigger_"+name, help, of, nil)
	}
	return &listed{
		s: s, most: most, states: map[*state]struct{}{},
		value:  desc("value", "The value of the last answer to KEDA, before clamping; absent while the scaler holds."),
		target: desc("target", "The target that one replica should carry."),
		active: desc("active", "Whether the trigger is active by the last answer to KEDA; absent while the scaler holds."),
		held:   desc("held", "Whether the last answer to KEDA was an error by which KEDA holds."),
		asked:  desc("asked_timestamp_seconds", "When KEDA asked last."),
		triggers: prometheus.NewDesc("keda_otel_scaler_triggers",
			"Triggers that the scaler has in memory, by whether there are metrics of each (listed); KEDA does not tell which were deleted.", []string{"listed"}, nil),
	}
}

// see lists a trigger that is asked about, if there is room. A poll pays two
// reads for it.
func (l *listed) see(st *state) {
	if st.listed.Load() || int(l.n.Load()) >= l.most {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.states) < l.most && !st.evicted.Load() && !st.listed.Swap(true) {
		l.states[st] = struct{}{}
		l.n.Add(1)
	}
}

// drop is for triggers that are no longer remembered.
func (l *listed) drop(st *state) {
	st.evicted.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLocked(st)
}

func (l *listed) dropLocked(st *state) {
	if st.listed.Swap(false) {
		delete(l.states, st)
		l.n.Add(-1)
	}
}

// recent returns the listed triggers, and makes room of those that KEDA asks
// about no longer.
func (l *listed) recent() []*state {
	old := l.s.opts.Now().Add(-forgetAfter)
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*state, 0, len(l.states))
	for st := range l.states {
		if st.streams.Load() == 0 && st.askedAt().Before(old) {
			l.dropLocked(st)
			continue
		}
		all = append(all, st)
	}
	return all
}

// Describe implements prometheus.Collector.
func (l *listed) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.value, l.target, l.active, l.held, l.asked, l.triggers} {
		to <- d
	}
}

// Collect implements prometheus.Collector. No lock is held for longer than it
// takes to copy what is listed.
func (l *listed) Collect(to chan<- prometheus.Metric) {
	all := l.recent()
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
		l.collect(to, st, key[:])
	}
	gauge := func(n int, listed string) {
		to <- prometheus.MustNewConstMetric(l.triggers, prometheus.GaugeValue, float64(n), listed)
	}
	gauge(len(all), "true")
	gauge(max(l.s.triggers.Len()-len(all), 0), "false")
}

func (l *listed) collect(to chan<- prometheus.Metric, st *state, labels []string) {
	gauge := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(l.target, st.trigger.Load().target)
	gauge(l.asked, float64(st.askedAt().UnixMilli())/1e3)
	switch d := st.last.Load(); {
	case d == nil:
	case d.err != nil:
		gauge(l.held, 1)
	default:
		active := 0.0
		if d.active {
			active = 1
		}
		gauge(l.held, 0)
		gauge(l.value, d.value)
		gauge(l.active, active)
	}
}

// label is a name of KEDA's, bounded and valid.
func label(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxLabel)], "") }
