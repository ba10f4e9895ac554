package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// registerAddOn adds otel-add-on's REST API, for the scripts of its users: its
// paths, its JSON, and its four spaces. It has no errors but that of an
// operation, so what fails before one is answered as elsewhere.
func (a *API) registerAddOn(mux *http.ServeMux) {
	for pattern, serve := range map[string]func(*output, *request) error{
		"GET /info":            a.info,
		"GET /memstore/names":  a.memstoreNames,
		"POST /memstore/query": a.memstoreQuery,
	} {
		mux.Handle(pattern, a.addOn(pattern, a.opts.Timeout, a.queries, serve))
	}
	mux.Handle("GET /memstore/data", a.addOn("GET /memstore/data", dumpTimeout, a.dumps, a.memstoreData))
	mux.Handle("POST /memstore/reset", a.addOn("POST /memstore/reset", dumpTimeout, a.dumps, a.memstoreReset))
}

// dumpTimeout bounds what goes through the whole store.
const dumpTimeout = 30 * time.Second

func (a *API) addOn(name string, timeout time.Duration, limited *limiter, serve func(*output, *request) error) http.Handler {
	return a.guard(name, func(out *output, r *http.Request) {
		r.Body = http.MaxBytesReader(out.w, r.Body, a.opts.MaxBody)
		err := a.withinLimit(r, timeout, limited, func(ctx context.Context) error {
			return serve(out, &request{Request: r, ctx: ctx})
		})
		switch {
		case err == nil:
			out.finish()
		case out.started:
			panic(http.ErrAbortHandler) // half an answer must not look whole
		default:
			out.buf = out.buf[:0]
			out.fail(a.blame(err))
		}
	})
}

func (a *API) info(o *output, _ *request) error {
	o.indented(a.opts.Info)
	return nil
}

func (a *API) memstoreNames(o *output, r *request) error {
	names, err := a.metricNames(r)
	if err == nil {
		o.indented(names)
	}
	return err
}

func (a *API) metricNames(r *request) ([]string, error) {
	q, err := a.querier()
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }()
	names, _, err := q.LabelValues(r.ctx, labels.MetricName, nil)
	return append([]string{}, names...), err
}

// querier sees all that the store holds now.
func (a *API) querier() (storage.Querier, error) {
	now := a.opts.Now()
	return a.opts.Queryable.Querier(now.Add(-a.opts.Retention).UnixMilli(), now.UnixMilli())
}

// memstoreSeries is a series of GET /memstore/data.
type memstoreSeries struct {
	Labels     map[string]string   `json:"labels"`
	Data       []memstoreSample    `json:"data"`
	Aggregates map[string]*float64 `json:"aggregatesOverTime"`
	LastUpdate int64               `json:"lastUpdate"` // in seconds
}

type memstoreSample struct {
	Value *float64 `json:"value"` // null where JSON has no number
	Time  int64    `json:"time"`  // in seconds
}

// memstoreData writes all that is stored, metric by metric. Native histograms,
// which otel-add-on has not, are left out.
func (a *API) memstoreData(o *output, r *request) error {
	names, err := a.metricNames(r)
	if err != nil {
		return err
	}
	q, err := a.querier()
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	var it chunkenc.Iterator
	separator := "{\n    "
	for _, name := range names {
		set := q.Select(r.ctx, false, nil, labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name))
		o.buf = append(appendString(append(o.buf, separator...), name), ": ["...)
		separator = ",\n    "
		inner := "\n        "
		err := eachSeries(r.ctx, set, func(s storage.Series) bool {
			it = s.Iterator(it)
			o.buf = append(o.buf, inner...)
			o.json(dump(s.Labels(), it))
			inner = ",\n        "
			return o.more()
		})
		if err != nil {
			return err
		}
		o.buf = append(o.buf, "\n    ]"...)
		if !o.more() {
			return o.err
		}
	}
	if len(names) == 0 {
		o.buf = append(o.buf, '{')
	}
	o.buf = append(o.buf, "\n}\n"...)
	return nil
}

func dump(lset labels.Labels, it chunkenc.Iterator) memstoreSeries {
	out := memstoreSeries{Labels: map[string]string{}, Data: []memstoreSample{}, Aggregates: map[string]*float64{}}
	lset.Range(func(l labels.Label) {
		if l.Name != labels.MetricName {
			out.Labels[l.Name] = l.Value
		}
	})
	var last, sum, least, most, increase float64
	var began, ended int64
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		if kind != chunkenc.ValFloat {
			continue
		}
		t, v := it.At()
		if value.IsStaleNaN(v) {
			continue
		}
		if len(out.Data) == 0 {
			last, least, most, began = v, v, v, t
		} else if v < last {
			last = 0 // the counter restarted
		}
		increase += v - last
		last, ended = v, t
		sum, least, most = sum+v, min(least, v), max(most, v)
		out.Data = append(out.Data, memstoreSample{finite(v), t / 1000})
	}
	n := float64(len(out.Data))
	if n == 0 {
		return out
	}
	out.LastUpdate = ended / 1000
	for name, v := range map[string]float64{"last_one": last, "count": n, "avg": sum / n, "min": least, "max": most} {
		out.Aggregates[name] = finite(v)
	}
	if ended > began {
		out.Aggregates["rate"] = finite(increase / (float64(ended-began) / 1000))
	}
	return out
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// operation is otel-add-on's answer to a POST.
type operation struct {
	OK        bool    `json:"ok"`
	Operation string  `json:"operation"`
	Error     string  `json:"error"`
	Value     float64 `json:"value"`
}

func (a *API) memstoreQuery(o *output, r *request) error {
	var ask struct {
		Query    string `json:"query"`
		OverTime string `json:"operationOverTime"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &ask)
	}
	if err != nil {
		o.operation(http.StatusBadRequest, operation{Operation: "query", Error: fmt.Sprintf(
			`the body is not what it should be: %s; write {"operationOverTime": "last_one", "query": "sum(metric{label=value})"}`, err)})
		return nil
	}
	v, err := a.opts.AddOn(r.ctx, ask.Query, ask.OverTime)
	if err != nil {
		if r.ctx.Err() != nil {
			return errors.Join(r.ctx.Err(), err)
		}
		o.operation(http.StatusInternalServerError, operation{Operation: "query", Error: err.Error()})
		return nil
	}
	o.operation(http.StatusOK, operation{OK: true, Operation: "query", Value: v})
	return nil
}

// memstoreReset refuses unless it is told otherwise: whoever reaches the port
// could hold every workload where it is.
func (a *API) memstoreReset(o *output, r *request) error {
	if a.opts.Reset == nil {
		o.operation(http.StatusForbidden, operation{Operation: "reset", Error: fmt.Sprintf(
			"the store is not emptied from outside without --http-allow-reset; a series that gets no more samples is forgotten within %s by itself", a.opts.Retention)})
		return nil
	}
	a.opts.Logger.Warn("the store is emptied over HTTP", "peer", r.RemoteAddr)
	a.opts.Reset()
	o.operation(http.StatusOK, operation{OK: true, Operation: "reset"})
	return nil
}

func (o *output) operation(code int, result operation) {
	o.code = code
	o.indented(result)
}

func (o *output) indented(v any) {
	text, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		panic(err)
	}
	o.buf = append(o.buf, text...)
}
