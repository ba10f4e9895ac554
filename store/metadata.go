package store

import (
	"maps"
	"strings"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
)

const (
	// maxDescribed bounds the metrics whose metadata is stored.
	maxDescribed = 10_000
	maxHelp      = 1024 // bytes of each help text
	maxUnit      = 64   // bytes of each unit
)

// described is the metadata of metrics, by the name of the family: one for all series of
// a histogram. It is stored as long as the family has a series.
type described struct {
	mu       sync.RWMutex // guards what follows; taken after Store.mu
	families map[string]metadata.Metadata
}

// Describe replaces the metadata of a metric, if the metric has series. It cuts off what
// is too long.
func (a *Appender) Describe(family string, m metadata.Metadata) { a.s.describe(family, m) }

func (s *Store) describe(family string, m metadata.Metadata) {
	m.Help, m.Unit = cut(m.Help, maxHelp), cut(m.Unit, maxUnit)
	d := &s.described
	d.mu.RLock()
	stored, known := d.families[family]
	d.mu.RUnlock()
	if known && stored == m {
		return
	}
	// With the store locked no series is freed, whose metadata would remain.
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hasFamilyLocked(family, m.Type) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.families[family]; !known && len(d.families) >= maxDescribed {
		return
	}
	m.Help, m.Unit = strings.Clone(m.Help), strings.Clone(m.Unit) // parts of the request
	d.families[strings.Clone(family)] = m
}

// hasFamilyLocked reports whether there is a series of the family. A classic
// histogram and a summary always have a count.
func (s *Store) hasFamilyLocked(family string, kind model.MetricType) bool {
	counted := kind == model.MetricTypeHistogram || kind == model.MetricTypeSummary
	return s.names[family] != nil || counted && s.names[family+"_count"] != nil
}

// undescribeLocked removes the metadata of a metric name that has no series anymore, with
// the store locked.
func (s *Store) undescribeLocked(name string) {
	d := &s.described
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, family := range []string{name, strings.TrimSuffix(name, "_count")} {
		if m, ok := d.families[family]; ok && !s.hasFamilyLocked(family, m.Type) {
			delete(d.families, family)
		}
	}
}

func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// Metadata returns the type, unit and help of a metric family, or of all
// if its name is empty. The map is the caller's.
func (s *Store) Metadata(family string) map[string]metadata.Metadata {
	d := &s.described
	d.mu.RLock()
	defer d.mu.RUnlock()
	if family == "" {
		return maps.Clone(d.families)
	}
	out := map[string]metadata.Metadata{}
	if m, ok := d.families[family]; ok {
		out[family] = m
	}
	return out
}
