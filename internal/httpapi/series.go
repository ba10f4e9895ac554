package httpapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// checkEvery is how many series are looked at between two looks at the context.
const checkEvery = 128

func (a *API) series(r *request) (answer, error) {
	if len(r.form["match[]"]) == 0 {
		return answer{}, badf("no match[] parameter provided")
	}
	limit, err := r.limit()
	if err != nil {
		return answer{}, err
	}
	start, end, err := r.window()
	if err != nil {
		return answer{}, err
	}
	sets, err := selectors(a.opts.Parser, r.form["match[]"])
	if err != nil {
		return answer{}, badParameter("match[]", err)
	}
	q, err := r.queryable.Querier(start.UnixMilli(), end.UnixMilli())
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = q.Close() }()

	hints := &storage.SelectHints{Start: start.UnixMilli(), End: end.UnixMilli(), Func: "series", Limit: hint(limit)}
	found := make([]storage.SeriesSet, 0, len(sets))
	for _, set := range sets {
		found = append(found, q.Select(r.ctx, len(sets) > 1, hints, set...))
	}
	set := found[0]
	if len(found) > 1 {
		set = storage.NewMergeSeriesSet(found, 0, storage.ChainedSeriesMerge)
	}
	var out answer
	var all []labels.Labels
	err = eachSeries(r.ctx, set, func(s storage.Series) bool {
		if limit > 0 && len(all) == limit {
			out.warnings.Add(errTruncated)
			return false
		}
		all = append(all, s.Labels())
		return true
	})
	out.warnings.Merge(set.Warnings())
	out.data = func(o *output) {
		list(o, all, func(lset labels.Labels) { o.buf = appendLabels(o.buf, lset) })
	}
	return out, err
}

// eachSeries goes through a set until f says no.
func eachSeries(ctx context.Context, set storage.SeriesSet, f func(storage.Series) bool) error {
	for i := 0; set.Next(); i++ {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !f(set.At()) {
			return nil
		}
	}
	return set.Err()
}

func (a *API) labelNames(r *request) (answer, error) {
	return a.strings(r, storage.Querier.LabelNames)
}

func (a *API) labelValues(r *request) (answer, error) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return answer{}, badf("invalid label name: %q", name)
	}
	return a.strings(r, func(q storage.Querier, ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) { //nolint:revive // a method's value has the receiver first
		return q.LabelValues(ctx, name, hints, ms...)
	})
}

// strings answers with what list returns for all of the match[] parameters.
func (a *API) strings(r *request, list func(storage.Querier, context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error)) (answer, error) {
	limit, err := r.limit()
	if err != nil {
		return answer{}, err
	}
	start, end, err := r.window()
	if err != nil {
		return answer{}, err
	}
	sets, err := selectors(a.opts.Parser, r.form["match[]"])
	if err != nil {
		return answer{}, &apiError{badData, err}
	}
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	q, err := r.queryable.Querier(start.UnixMilli(), end.UnixMilli())
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = q.Close() }()

	var out answer
	all := []string{}
	for _, set := range sets {
		found, warnings, err := list(q, r.ctx, &storage.LabelHints{Limit: hint(limit)}, set...)
		if err != nil {
			return answer{}, err
		}
		out.warnings.Merge(warnings)
		all = append(all, found...)
	}
	slices.Sort(all)
	if all = slices.Compact(all); limit > 0 && len(all) > limit {
		all = all[:limit]
		out.warnings.Add(errTruncated)
	}
	out.data = func(o *output) {
		listStrings(o, all)
	}
	return out, r.ctx.Err()
}

func listStrings(o *output, all []string) {
	list(o, all, func(s string) { o.buf = appendString(o.buf, s) })
}

func (a *API) notFound(r *request) (answer, error) {
	return answer{}, &apiError{notFound, errors.New("there is no " + r.URL.Path + " here; GET / lists what there is")}
}
