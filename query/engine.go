package query

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/limit"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// Options configure an Engine. Zero means the default in brackets.
type Options struct {
	Store     *store.Store
	Retention time.Duration // the store's; the window of operationOverTime (2m)
	// MaxRetention is the store's for series that a query reads over a longer window
	// than the retention; a query over a longer one is rejected (15m).
	MaxRetention time.Duration
	Lookback     time.Duration // how long a sample stands for its series (the retention)
	Timeout      time.Duration // of one evaluation (2s)
	MaxSamples   int           // samples in memory during one evaluation (5,000,000)
	CacheSize    int           // compiled queries stored (10,000)
	// Concurrency is how many plans the PromQL engine evaluates at a time
	// (GOMAXPROCS, 2 at least); those of one scope have half of it.
	Concurrency int
	Long        func()                // called when the PromQL engine took long for a plan (no-op)
	Logger      *slog.Logger          // for the PromQL engine (nowhere)
	Registerer  prometheus.Registerer // where the engine's own metrics go (nowhere)
}

// Engine compiles queries and evaluates them over a store. Its methods may be
// called concurrently.
type Engine struct {
	opts   Options
	parser parser.Parser
	promql *promql.Engine
	plans  *lru.Cache[planKey, func() (*Plan, error)]
	// evaluations bound what the engine takes of the CPU for triggers: as many at a time
	// as there are cores, and half of them for one tenant. The direct evaluator does not
	// wait.
	evaluations *limit.Shared[Scope]
	long        time.Duration // an evaluation that takes as long calls Options.Long
	metrics     metrics
}

type planKey struct {
	text  string
	over  OverTime
	scope Scope
}

// New returns an engine.
func New(o Options) (*Engine, error) {
	o.Retention = cmp.Or(o.Retention, 2*time.Minute)
	o.MaxRetention = max(cmp.Or(o.MaxRetention, 15*time.Minute), o.Retention)
	o.Lookback = min(cmp.Or(o.Lookback, o.Retention), o.Retention)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.MaxSamples = cmp.Or(o.MaxSamples, 5_000_000)
	o.CacheSize = cmp.Or(o.CacheSize, 10_000)
	o.Concurrency = cmp.Or(o.Concurrency, max(2, runtime.GOMAXPROCS(0)))
	if o.Long == nil {
		o.Long = func() {}
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	plans, err := lru.New[planKey, func() (*Plan, error)](o.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("query cache of size %d: %w", o.CacheSize, err)
	}
	p := parser.NewParser(parser.Options{
		Functions:                   functions(),
		EnableExperimentalFunctions: true,
		EnableBinopFillModifiers:    true,
		// otel-add-on's users write http.server.duration as it is.
		EnableUnquotedUTF8Names: true,
	})
	return &Engine{
		opts:        o,
		parser:      p,
		plans:       plans,
		evaluations: limit.NewShared[Scope](o.Concurrency, max(1, o.Concurrency/2)),
		long:        10 * time.Millisecond, // as long as Go lets a goroutine run
		metrics:     newMetrics(o.Registerer),
		promql: promql.NewEngine(promql.EngineOpts{
			Logger:                   o.Logger,
			MaxSamples:               o.MaxSamples,
			Timeout:                  o.Timeout,
			LookbackDelta:            o.Lookback,
			EnableAtModifier:         true,
			EnableNegativeOffset:     true,
			Parser:                   p,
			NoStepSubqueryIntervalFn: func(int64) int64 { return subqueryStep.Milliseconds() },
		}),
	}, nil
}

// Retention returns the store's retention.
func (e *Engine) Retention() time.Duration { return e.opts.Retention }

// ClockShift returns by how much the store's clock was set so far, in ms: times
// that were taken before a change are off by the difference.
func (e *Engine) ClockShift() int64 { return e.opts.Store.ClockShift() }

// Steady returns the time of the store's clock as if it had never been set, in ms.
func (e *Engine) Steady() int64 {
	if e.opts.Store == nil { // as for a check of metadata
		return time.Now().UnixMilli()
	}
	now := e.opts.Store.Now() // notices that the clock was set, before the shift is read
	return now - e.opts.Store.ClockShift()
}

// PromQL returns the engine that plans fall back on, for those who ask for more
// than one number, and its parser. Every plan's text is a query to it. A query
// whose subqueries have more points than MaxSamples is refused.
func (e *Engine) PromQL() (promql.QueryEngine, parser.Parser) { return e.bounded(), e.parser }

func (e *Engine) bounded() bounded { return bounded{e.promql, e.opts.MaxSamples} }

// Compile returns the plan of a query, from the cache if it can, for a user who may see
// only what is within the scope: neither the plan's values nor its errors and
// explanations depend on other series. The errors wrap ErrBadQuery and have what to write
// instead.
func (e *Engine) Compile(scope Scope, text string, over OverTime) (*Plan, error) {
	key := planKey{text, over, scope}
	plan, ok := e.plans.Get(key)
	if !ok {
		// Errors are stored as well: a broken query is asked for at every poll, too.
		plan = sync.OnceValues(func() (*Plan, error) { return e.compile(text, over, scope) })
		e.plans.Add(key, plan)
	}
	return plan()
}
