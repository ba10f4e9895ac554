package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// Options configure an API. Zero means the default in brackets; what has none
// is required.
type Options struct {
	Queryable storage.Queryable
	Engine    promql.QueryEngine
	Parser    parser.Parser // the engine's
	// Metadata returns what is known of a metric, or of all if the name is empty.
	Metadata func(metric string) map[string]metadata.Metadata
	// AddOn evaluates a query in otel-add-on's grammar now.
	AddOn func(ctx context.Context, query, overTime string) (float64, error)
	// Decide answers a query under /keda: one number, or an error by which KEDA
	// holds. namespace is empty if the request sees everything. If nil, the engine
	// answers.
	Decide func(ctx context.Context, namespace, query string) (float64, error)
	// Reset takes away all data for POST /memstore/reset; if nil, that is refused.
	Reset func()
	// Within returns what a request under /keda may see, by the namespace that it
	// must name; if nil, it sees everything and names none.
	Within func(namespace string) storage.Queryable

	Timeout      time.Duration  // of one request until its answer is written, the wait for its turn included (2s)
	Concurrency  int            // requests evaluated at a time (20)
	Waiting      int            // requests that may wait for their turn (1024)
	MaxBody      int64          // of a POST, in bytes (1 MiB)
	SumSelectors bool           // treat every instant query as those under /keda
	CORSOrigin   *regexp.Regexp // origins whose scripts may read the answers (none)

	Retention time.Duration     // the store's, for status/tsdb (2m)
	Build     Build             // for status/buildinfo
	Info      map[string]string // for otel-add-on's /info

	Now        func() time.Time      // the store's clock (time.Now)
	Logger     *slog.Logger          // (nowhere)
	Registerer prometheus.Registerer // where the API's own metrics go (nowhere)
}

func (o *Options) setDefaults() {
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 20
	}
	if o.Waiting <= 0 {
		o.Waiting = 1024
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 1 << 20
	}
	if o.Retention <= 0 {
		o.Retention = 2 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// API answers HTTP requests. Its methods may be called concurrently.
type API struct {
	opts    Options
	metrics *metrics
	queries *limiter
	dumps   *limiter // for answers that are read from the store while the peer takes them

	stopping context.Context
	stop     context.CancelFunc
	active   sync.RWMutex // held for reading by every request, and for good by the first Stop
	joining  sync.Once
	joined   chan struct{} // closed when no request is active and none will be
}

// New returns an API.
func New(o Options) *API {
	o.setDefaults()
	a := &API{
		opts:    o,
		metrics: newMetrics(o.Registerer),
		queries: newLimiter(o.Concurrency, o.Waiting),
		dumps:   newLimiter(1, 8),
		joined:  make(chan struct{}),
	}
	a.stopping, a.stop = context.WithCancel(context.Background())
	return a
}

// Stop cancels the requests that are still running, refuses those that come
// later, and returns when none uses the store any more, or with ctx' error: the
// engine notices a cancellation between two steps and two series, not within
// the window of a function, which may hold millions of a subquery's points.
func (a *API) Stop(ctx context.Context) error {
	a.stop()
	a.joining.Do(func() {
		go func() {
			a.active.Lock() // for good, so that TryRLock fails from here on
			close(a.joined)
		}()
	})
	select {
	case <-a.joined:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kedaPrefix is the path under which KEDA's prometheus trigger asks.
const kedaPrefix = "/keda"

// endpoint is one path of the API.
type endpoint struct {
	path   string
	post   bool // also POST, with the parameters as a form
	answer func(*request) (answer, error)
}

// Register adds the endpoints to mux.
func (a *API) Register(mux *http.ServeMux) {
	for _, e := range []endpoint{
		{"/api/v1/query", true, a.query},
		{"/api/v1/query_range", true, a.queryRange},
		{"/api/v1/format_query", true, a.formatQuery},
		{"/api/v1/parse_query", true, a.parseQuery},
		{"/api/v1/series", true, a.series},
		{"/api/v1/labels", true, a.labelNames},
		{"/api/v1/label/{name}/values", false, a.labelValues},
		{"/api/v1/metadata", false, a.metadata},
		{"/api/v1/status/buildinfo", false, a.buildInfo},
		{"/api/v1/status/tsdb", false, a.tsdbStatus},
		{"/api/v1/", true, a.notFound},
	} {
		mux.Handle(e.path, a.handler(e, a.opts.SumSelectors))
		mux.Handle(kedaPrefix+e.path, a.handler(e, true))
	}
	a.registerAddOn(mux)
}
