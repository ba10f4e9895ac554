package scaler_test

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/fleet"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

const (
	retention = 2 * time.Minute
	warmUp    = 2 * time.Minute
	// lead is how long the product runs before the first pod starts, so that its
	// warm-up is over.
	lead = 150.0
	// epoch is second 0 of all histories, in ms.
	epoch = 1_700_000_000_000
)

// errHold is what a poll returns when the product holds.
var errHold = errors.New("hold")

// product is store, query and scaler as one process has them, without a connection,
// on a clock that the test sets. It is not safe for concurrent use.
type product struct {
	t        testing.TB
	ms       int64
	full     bool // no memory for new series
	samples  *store.Store
	server   *scaler.Server
	appender *store.Appender
	refs     map[string]*pb.ScaledObjectRef
	swept    int64
	ticked   int64
}

func newProduct(t testing.TB, at float64) *product {
	t.Helper()
	p := &product{t: t, ms: millis(at), refs: map[string]*pb.ScaledObjectRef{}}
	p.swept, p.ticked = p.ms, p.ms
	p.samples = store.New(store.Options{Now: p.now, Retention: retention, Full: func() bool { return p.full }})
	queries, err := newQueries(p.samples)
	require.NoError(t, err)
	p.server, err = scaler.New(scaler.Options{Queries: queries, Now: p.now, WarmUp: warmUp})
	require.NoError(t, err)
	p.appender = p.samples.Appender()
	return p
}

func millis(t float64) int64 { return epoch + int64(t*1000) }

func (p *product) now() time.Time { return time.UnixMilli(p.ms) }

// at sets the clock.
func (p *product) at(t float64) { p.ms = millis(t) }

// work does what the process does by itself: it sweeps each 5 s, and evaluates each
// second.
func (p *product) work() {
	if p.ms-p.swept >= 5000 {
		p.swept = p.ms
		p.samples.Sweep()
	}
	if p.ms-p.ticked >= 1000*fleet.Tick {
		p.ticked = p.ms
		tick(p.t.Context(), p.server)
	}
}

// push stores values, all of which arrive together. born is when the counters among
// them were zero, or 0 if that is not known. It returns false if one was rejected.
func (p *product) push(born int64, lsets []labels.Labels, values []float64) bool {
	p.appender.Reset()
	ok := true
	for i, lset := range lsets {
		if p.appender.Since(0); lset.Get(labels.MetricName) == "y" { // the only counter
			p.appender.Since(born)
		}
		if _, err := p.appender.Append(lset, p.ms, values[i]); err != nil {
			require.ErrorIs(p.t, err, store.ErrNoMemory)
			ok = false
		}
	}
	p.appender.Commit()
	return ok
}

// end stores staleness markers.
func (p *product) end(lsets []labels.Labels) {
	p.appender.Reset()
	for _, lset := range lsets {
		_, err := p.appender.End(lset, p.ms)
		require.NoError(p.t, err)
	}
	p.appender.Commit()
}

func series(metric string, pod int) labels.Labels {
	return labels.FromStrings(labels.MetricName, metric, "pod", strconv.Itoa(pod))
}

// ask has KEDA know of a query, as it does once it sees the ScaledObject.
func (p *product) ask(query string) {
	_, err := p.server.GetMetricSpec(p.t.Context(), p.ref(query))
	require.NoError(p.t, err)
}

func (p *product) ref(query string) *pb.ScaledObjectRef {
	r := p.refs[query]
	if r == nil {
		r = &pb.ScaledObjectRef{
			Name: "object-" + strconv.Itoa(len(p.refs)), Namespace: "default",
			ScalerMetadata: map[string]string{"metricQuery": query, "targetValue": "10"},
		}
		p.refs[query] = r
	}
	return r
}

// poll returns what KEDA gets, or errHold. Value and activity have to agree.
func (p *product) poll(query string) (float64, error) {
	p.t.Helper()
	r := p.ref(query)
	m, err := p.server.GetMetrics(p.t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: r, MetricName: "m"})
	if err != nil {
		require.Equal(p.t, codes.Unavailable, status.Code(err), "%v", err)
		return 0, errHold
	}
	v := m.GetMetricValues()[0].GetMetricValueFloat()
	a, err := p.server.IsActive(p.t.Context(), r)
	require.NoError(p.t, err)
	require.Equal(p.t, v > 0, a.GetResult(), "value %v", v)
	return v, nil
}

// snapshot is what a process left behind.
type snapshot struct {
	taken             time.Time
	samples, triggers [][]byte
}

func (p *product) snapshot() *snapshot {
	keep := func(to *[][]byte) func([]byte) error {
		return func(b []byte) error { *to = append(*to, bytes.Clone(b)); return nil }
	}
	s := &snapshot{taken: p.now()}
	require.NoError(p.t, p.samples.Snapshot(keep(&s.samples)))
	if err := p.server.Snapshot(keep(&s.triggers)); err != nil {
		require.ErrorIs(p.t, err, scaler.ErrWarming)
		return nil
	}
	return s
}

// restarted is a new process at a moment, which restores a snapshot unless it is nil.
func (p *product) restarted(at float64, s *snapshot) *product {
	n := newProduct(p.t, at)
	n.refs = p.refs
	if s == nil {
		return n
	}
	blocks := s.samples
	err := restoreSamples(n.samples, s.taken, func() ([]byte, error) {
		if len(blocks) == 0 {
			return nil, io.EOF
		}
		b := blocks[0]
		blocks = blocks[1:]
		return b, nil
	})
	if err != nil {
		require.ErrorIs(p.t, err, store.ErrOldSnapshot)
		return newProduct(p.t, at).withRefs(p.refs)
	}
	require.NoError(p.t, restoreTriggers(n.server, s.taken, s.triggers))
	return n
}

func (p *product) withRefs(refs map[string]*pb.ScaledObjectRef) *product {
	p.refs = refs
	return p
}
