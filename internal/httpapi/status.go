package httpapi

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
)

// Build says what answers. Clients choose what they ask for by Version, so it is
// that of the Prometheus whose PromQL and API these are.
type Build struct {
	Version     string `json:"version"`
	Revision    string `json:"revision"`
	Branch      string `json:"branch"`
	BuildUser   string `json:"buildUser"`
	BuildDate   string `json:"buildDate"`
	GoVersion   string `json:"goVersion"`
	Application string `json:"application"` // our own name and version, which Prometheus has not
}

func (a *API) buildInfo(*request) (answer, error) { return plain(a.opts.Build), nil }

// plain is an answer that encoding/json writes.
func plain(v any) answer { return answer{data: func(o *output) { o.json(v) }} }

// metadata answers with a list for each metric, as Prometheus, which has one
// entry for each thing that its targets say of one. Here it is what was said last.
// So limit_per_metric, of which 0 and less mean all, cuts nothing off.
func (a *API) metadata(r *request) (answer, error) {
	limit, err := r.number("limit")
	if err != nil {
		return answer{}, err
	}
	if _, err := r.number("limit_per_metric"); err != nil {
		return answer{}, err
	}
	said := a.opts.Metadata(r.form.Get("metric"))
	names := slices.Sorted(maps.Keys(said))
	if limit >= 0 {
		names = names[:min(limit, len(names))]
	}
	out := make(map[string][]metadata.Metadata, len(names))
	for _, name := range names {
		out[name] = []metadata.Metadata{said[name]}
	}
	return plain(out), nil
}

// number is an optional parameter of metadata; -1 if it is left out.
func (r *request) number(name string) (int, error) {
	text := r.form.Get(name)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, badf("%s must be a number", name)
	}
	return n, nil
}

// stat is one line of the store's statistics.
type stat struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

type tsdbStatus struct {
	HeadStats struct {
		NumSeries     uint64 `json:"numSeries"`
		NumLabelPairs int    `json:"numLabelPairs"`
		ChunkCount    int64  `json:"chunkCount"` // there are none: samples lie in rings
		MinTime       int64  `json:"minTime"`    // ms
		MaxTime       int64  `json:"maxTime"`
	} `json:"headStats"`
	SeriesCountByMetricName     []stat `json:"seriesCountByMetricName"`
	LabelValueCountByLabelName  []stat `json:"labelValueCountByLabelName"`
	MemoryInBytesByLabelName    []stat `json:"memoryInBytesByLabelName"`
	SeriesCountByLabelValuePair []stat `json:"seriesCountByLabelValuePair"`
}

// tsdbStatus counts as it goes through all series: it is for people who look for
// what fills the store.
func (a *API) tsdbStatus(r *request) (answer, error) {
	limit := 10
	if s := r.form.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		switch {
		case err != nil || n < 1:
			return answer{}, badf("limit must be a positive number")
		case n > 10000:
			return answer{}, badf("limit must not exceed 10000")
		}
		limit = n
	}
	var out tsdbStatus
	now := a.opts.Now()
	out.HeadStats.MinTime, out.HeadStats.MaxTime = now.Add(-a.opts.Retention).UnixMilli(), now.UnixMilli()
	q, err := r.queryable.Querier(out.HeadStats.MinTime, out.HeadStats.MaxTime)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = q.Close() }()

	pairs := map[labels.Label]uint64{}
	err = eachSeries(r.ctx, q.Select(r.ctx, false, &storage.SelectHints{Func: "series"}), func(s storage.Series) bool {
		out.HeadStats.NumSeries++
		s.Labels().Range(func(l labels.Label) { pairs[l]++ })
		return true
	})
	if err != nil {
		return answer{}, err
	}
	out.HeadStats.NumLabelPairs = len(pairs)
	byMetric, byPair, values, memory := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	for l, n := range pairs {
		if l.Name == labels.MetricName {
			byMetric[l.Value] = n
		}
		byPair[l.Name+"="+l.Value] = n
		values[l.Name]++
		memory[l.Name] += uint64(len(l.Value))
	}
	out.SeriesCountByMetricName = largest(byMetric, limit)
	out.LabelValueCountByLabelName = largest(values, limit)
	out.MemoryInBytesByLabelName = largest(memory, limit)
	out.SeriesCountByLabelValuePair = largest(byPair, limit)
	return plain(out), nil
}

func largest(counts map[string]uint64, n int) []stat {
	all := make([]stat, 0, len(counts))
	for name, value := range counts {
		all = append(all, stat{name, value})
	}
	slices.SortFunc(all, func(x, y stat) int {
		return cmp.Or(cmp.Compare(y.Value, x.Value), cmp.Compare(x.Name, y.Name))
	})
	return all[:min(n, len(all))]
}
