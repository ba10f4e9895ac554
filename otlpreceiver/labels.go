package otlpreceiver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/naming"
)

// maxLabelBytes bounds the names and values of one series' labels, its metric
// name included. One point may stand for thousands of series (buckets), each
// of which keeps its labels for as long as it lives.
const maxLabelBytes = 32 << 10

// namer turns OTLP names into Prometheus' and remembers those of one request,
// where the same few keys come back with every point.
type namer struct {
	known  map[string]string // label names by key
	bad    map[string]error  // keys that can't be labels, and why
	joined []joinable        // scratch
}

type joinable struct{ name, key, value string }

func newNamer() *namer { return &namer{known: map[string]string{}, bad: map[string]error{}} }

// reset forgets the keys of a request.
func (n *namer) reset() {
	clear(n.known)
	clear(n.bad)
}

var errNoName = errors.New("a metric has no name")

func (*namer) metric(name string) (string, error) {
	if name == "" {
		return "", errNoName
	}
	return naming.Metric(name)
}

func (n *namer) label(key string) (string, error) {
	if name, ok := n.known[key]; ok {
		return name, nil
	}
	if err, ok := n.bad[key]; ok {
		return "", err
	}
	name, err := naming.Label(key)
	if err != nil {
		err = fmt.Errorf("attribute %q can't be a label, so it is not stored: %w", clip(key), err)
		n.bad[key] = err
		return "", err
	}
	n.known[key] = name
	return name, nil
}

// appendLabels appends the labels of attrs to dst, sorted by name, each name
// once. Attributes whose names become the same are joined with ";" in the order
// of their keys, and empty ones are absent, as they are in Prometheus. Attributes
// whose keys can't be labels are dropped: they must not cost a point.
func (n *namer) appendLabels(dst []labels.Label, attrs []attribute) (ls []labels.Label, without dropped) {
	js := n.joined[:0]
	defer func() {
		clear(js)
		n.joined = js[:0]
	}()
	for _, a := range attrs {
		if a.value == "" {
			continue
		}
		name, err := n.label(a.key)
		if err != nil {
			without.add(a.key, err)
			continue
		}
		if name == labels.MetricName {
			continue
		}
		js = append(js, joinable{name, a.key, a.value})
	}
	// Stable, so that a key that is there twice keeps the sender's order.
	slices.SortStableFunc(js, func(a, b joinable) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.key, b.key))
	})
	for i := 0; i < len(js); {
		end := i + 1
		for end < len(js) && js[end].name == js[i].name {
			end++
		}
		dst = append(dst, labels.Label{Name: js[i].name, Value: joinValues(js[i:end])})
		i = end
	}
	return dst, without
}

func joinValues(js []joinable) string {
	if len(js) == 1 {
		return validText(js[0].value)
	}
	vs := make([]string, len(js))
	for i, j := range js {
		vs[i] = j.value
	}
	return validText(strings.Join(vs, ";"))
}

// validText mends text that is not UTF-8. The decoder does not check, and
// whatever comes after us, gRPC and JSON, speaks nothing else.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// appendMerged appends to dst the labels of own and those of more that own
// lacks. All of them are sorted by name.
func appendMerged(dst, own, more []labels.Label) []labels.Label {
	for len(own) > 0 && len(more) > 0 {
		switch c := cmp.Compare(own[0].Name, more[0].Name); {
		case c < 0:
			dst, own = append(dst, own[0]), own[1:]
		case c > 0:
			dst, more = append(dst, more[0]), more[1:]
		default:
			dst, own, more = append(dst, own[0]), own[1:], more[1:]
		}
	}
	return append(append(dst, own...), more...)
}

// checkSize refuses labels that no query needs and no store should keep.
func checkSize(metric string, ls []labels.Label) error {
	size := len(metric)
	for _, l := range ls {
		size += len(l.Name) + len(l.Value)
	}
	if size > maxLabelBytes {
		return fmt.Errorf("the labels take %d bytes, and %d are allowed; drop the longest attributes at the sender", size, maxLabelBytes)
	}
	return nil
}

// seriesLabels builds the labels of the series that one point stands for.
type seriesLabels struct {
	base    []labels.Label // sorted, without __name__
	builder labels.ScratchBuilder
	built   labels.Labels // last, and in the memory of those before
}

// drop removes the label that the point's own series give a value of theirs.
func (s *seriesLabels) drop(name string) {
	s.base = slices.DeleteFunc(s.base, func(l labels.Label) bool { return l.Name == name })
}

// named returns the labels of the series of that metric name, until the next call.
func (s *seriesLabels) named(metric string) labels.Labels {
	s.fill(metric)
	return s.build()
}

// variant returns the labels of a bucket or quantile, until the next call; base
// must not hold label.
func (s *seriesLabels) variant(metric, label, value string) labels.Labels {
	s.fill(metric)
	s.builder.Add(label, value)
	return s.build()
}

func (s *seriesLabels) build() labels.Labels {
	s.builder.Sort()
	s.builder.Overwrite(&s.built)
	return s.built
}

func (s *seriesLabels) fill(metric string) {
	s.builder.Reset()
	s.builder.Add(labels.MetricName, metric)
	for _, l := range s.base {
		s.builder.Add(l.Name, l.Value)
	}
}
