package query

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// Explanation is what a query's result is made of.
type Explanation struct {
	Selectors []Selection // the first 16
	Total     int         // selectors that the query has
	// Unlisted is set while the store rejects load of a selector that it does not list.
	Unlisted bool
}

// Selection is a selector and what it matches now.
type Selection struct {
	Selector          string
	Live, Ended, Late int
	Series            []Series // the first, as many as were asked for
	Misses            []Miss   // why there are none
}

// Series is a series that a selector matches.
type Series struct {
	Labels    labels.Labels
	Ended     bool      // its sender ended it by a staleness marker
	Late      bool      // it missed a push
	Value     float64   // its last; undefined for a native histogram
	At        time.Time // when that was taken
	Histogram bool      // it is a native histogram
}

// Explain returns what the plan's result is made of: its series as they stand now,
// at most limit for each selector, and where a selector matches none, why. It is
// for people and takes its time.
func (p *Plan) Explain(ctx context.Context, limit int) (*Explanation, error) {
	e := &Explanation{Total: len(p.selectors)}
	for i := range p.selectors[:min(len(p.selectors), maxExplained)] {
		ms := p.selectors[i].matchers
		e.Unlisted = e.Unlisted || p.e.opts.Store.Unlisted(ms...)
		s := Selection{Selector: selectorText(ms)}
		pr, shown, err := p.e.opts.Store.Show(ctx, limit, ms...)
		if err == nil && pr == (store.Presence{}) {
			s.Misses, err = p.e.misses(ctx, p.scope, ms)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrEvaluation, s.Selector, err)
		}
		s.Live, s.Ended, s.Late = pr[store.Live], pr[store.Ended], pr[store.Late]
		for _, ser := range shown {
			s.Series = append(s.Series, Series{
				Labels: ser.Labels, Ended: ser.State == store.Ended, Late: ser.State == store.Late, Value: ser.Last.F, At: time.UnixMilli(ser.Last.T), Histogram: ser.Histogram,
			})
		}
		e.Selectors = append(e.Selectors, s)
	}
	return e, nil
}

// Near returns in sentences why the selectors match nothing, with the nearest values
// that there are.
func (p *Plan) Near(ctx context.Context) string {
	e, err := p.Explain(ctx, 0)
	if err != nil {
		return err.Error()
	}
	var all []string
	for i := range e.Selectors {
		for _, m := range e.Selectors[i].Misses {
			all = append(all, m.String())
		}
	}
	return strings.Join(all, "; ")
}

// selectorText returns a selector as a user writes it.
func selectorText(ms []*labels.Matcher) string { return plainSelector(ms).String() }

// Metrics returns how many series each metric has, ended ones included, by name.
func (e *Engine) Metrics() map[string]int { return e.opts.Store.Metrics() }

// Miss is a matcher that leaves no series.
type Miss struct {
	Matcher *labels.Matcher
	// Others is how many series the other matchers leave; or, where no single
	// matcher is to blame, those that stand before this one.
	Others int
	// Near are values that the label has among those series, the nearest to what
	// was asked for first; any at all if none is near.
	Near    []string
	Similar bool // Near are near
	// Names are the labels that those series have, if none has this one.
	Names []string
	// Within is what bounds the query; nothing outside of it is looked at.
	Within Scope
}

const (
	maxExplained = 16 // selectors of a query
	maxMisses    = 4  // matchers that are explained for each selector
	maxNear      = 3  // values
	maxNames     = 12
)

// misses finds the matchers without any one of which the selector would match.
// If there is none, it is the first that leaves nothing of what those before it
// leave, the metric's name being first. The scope's matcher always stays.
func (e *Engine) misses(ctx context.Context, scope Scope, ms []*labels.Matcher) (out []Miss, err error) {
	named := func(m *labels.Matcher) bool { return m.Name == labels.MetricName }
	within := slices.DeleteFunc(slices.Clone(ms), func(m *labels.Matcher) bool { return !scope.is(m) })
	own := slices.DeleteFunc(slices.Clone(ms), scope.is)
	names := slices.DeleteFunc(slices.Clone(own), func(m *labels.Matcher) bool { return !named(m) })
	ms = slices.Concat(names, slices.DeleteFunc(own, named))
	miss := func(m *labels.Matcher, others ...[]*labels.Matcher) (one Miss) {
		if err == nil {
			one, err = e.miss(ctx, scope, m, slices.Concat(others...))
		}
		return one
	}
	for i, m := range ms {
		// That others have what the rest asks for does not make a wrong name of one that
		// is there.
		if named(m) && miss(m, within, ms[i:i+1]).Others > 0 {
			continue
		}
		if one := miss(m, within, ms[:i], ms[i+1:]); one.Others > 0 && len(out) < maxMisses {
			out = append(out, one)
		}
	}
	for i := len(ms) - 1; i >= 0 && len(out) == 0; i-- {
		if one := miss(ms[i], within, ms[:i]); one.Others > 0 || i == 0 {
			out = append(out, one)
		}
	}
	return out, err
}

// miss describes a matcher that leaves no series of those that the others match.
func (e *Engine) miss(ctx context.Context, scope Scope, m *labels.Matcher, others []*labels.Matcher) (Miss, error) {
	values, n, err := e.opts.Store.Values(ctx, m.Name, others...)
	miss := Miss{Matcher: m, Others: n, Within: scope}
	if err != nil || len(values) > 0 {
		miss.Near, miss.Similar = nearest(m, values)
		return miss, err
	}
	_, shown, err := e.opts.Store.Show(ctx, 1, others...)
	for _, series := range shown {
		series.Labels.Range(func(l labels.Label) {
			if l.Name != labels.MetricName && len(miss.Names) < maxNames {
				miss.Names = append(miss.Names, l.Name)
			}
		})
	}
	return miss, err
}

// String returns a sentence.
func (m Miss) String() string {
	quoted := slices.Clone(m.Near)
	for i, v := range quoted {
		quoted[i] = strconv.Quote(v)
	}
	near := strings.Join(quoted, ", ")
	subject := fmt.Sprintf("no series has %s", m.Matcher)
	if m.Matcher.Name == labels.MetricName && m.Matcher.Type == labels.MatchEqual {
		subject = fmt.Sprintf("no metric is called %q", m.Matcher.Value)
	}
	switch {
	case m.Matcher.Type == labels.MatchNotEqual && m.Others > 0:
		return fmt.Sprintf("all %d series that match the rest have %s=%q", m.Others, m.Matcher.Name, m.Matcher.Value)
	case m.Others == 0 && m.Within.Label != "":
		return fmt.Sprintf("%s; nothing is stored yet with %s, which is all that the query sees: has a Collector pushed, and with that label?", subject, m.Within.matcher())
	case m.Others == 0:
		return subject + "; nothing is stored yet: has a Collector pushed?"
	case m.Similar && len(m.Near) == 1:
		return fmt.Sprintf("%s; there is %s", subject, near)
	case m.Similar:
		return fmt.Sprintf("%s; near are %s", subject, near)
	case len(m.Near) > 0:
		return fmt.Sprintf("%s; there is nothing like it, but for example %s", subject, near)
	default:
		return fmt.Sprintf("%s; the %d that match the rest have no such label, but %s", subject, m.Others, strings.Join(m.Names, ", "))
	}
}
