package otlpreceiver

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func newHarness(t testing.TB, o store.Options) *harness {
	h := &harness{t: t, clock: newClock()}
	o.Now = h.clock.now
	h.store = store.New(o)
	var err error
	h.receiver, err = New(Options{Store: h.store})
	require.NoError(t, err)
	return h
}

func marshal(t testing.TB, rms ...*mpb.ResourceMetrics) []byte {
	b, err := proto.Marshal(&colpb.ExportMetricsServiceRequest{ResourceMetrics: rms})
	require.NoError(t, err)
	return b
}

func (h *harness) exportOK(b []byte) {
	h.t.Helper()
	res, err := h.receiver.export(h.t.Context(), asRequest(b))
	require.NoError(h.t, err)
	require.Empty(h.t, string(*res))
}

// misses returns how many parts of a request are not known now.
func (h *harness) misses(b []byte) (n int) {
	h.t.Helper()
	in := newBatch(h.receiver)
	require.True(h.t, in.read(b), "pdata would read all of the request")
	for _, p := range in.points {
		if p.series == nil {
			n++
		}
	}
	return n + in.own
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, rms := range map[string][]*mpb.ResourceMetrics{
		"sidecar": gateway(1),
		"gateway": gateway(50),
		"kserve":  {kserve(0, true)},
		"deltas":  {resource(kv("pod", "p"), sumOf("d", delta, true, double(0, sentinel)), histogramOf("h", delta, buckets(0, []float64{1}, []uint64{1, 2}, 3)))},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPushes(t, false, rms...)
			for range 100 {
				p.send()
			}
			require.Zero(t, testing.AllocsPerRun(100, p.send))
			require.Zero(t, p.h.misses(p.body))
		})
	}
}

// The differential fuzzer would not notice if everything went to pdata.
func TestEverydayRequestsTakeTheHotPath(t *testing.T) {
	withMetadata := gaugeOf("g", double(0, 1, "a", "b"))
	withMetadata.Metadata = kv("prometheus.type", "gauge")
	rm := resource(append(kv("service.name", "s"), attr("n", nil), attr("port", str("1"))), withMetadata,
		pointWith(attr("list", str("x")), attr("none", nil)), sumOf("d", delta, true, double(-1, 1), double(0, 2)))
	for name, rm := range map[string]*mpb.ResourceMetrics{"kserve": kserve(0, true), "mixed": rm} {
		ours := marshal(t, rm)
		req := pmetricotlp.NewExportRequest()
		require.NoError(t, req.UnmarshalProto(ours))
		collectors, err := req.MarshalProto()
		require.NoError(t, err)
		for encoder, b := range map[string][]byte{"SDK": ours, "Collector": collectors} {
			t.Run(name+"/"+encoder, func(t *testing.T) {
				h := newHarness(t, store.Options{})
				require.NotZero(t, h.misses(b))
				h.exportOK(b)
				require.Zero(t, h.misses(b))
			})
		}
	}
}

func TestOneNewSeriesCostsOnlyItself(t *testing.T) {
	h := newHarness(t, store.Options{})
	h.exportOK(marshal(t, resource(nil, gaugeOf("g", double(0, 1, "pod", "a"), double(0, 1, "pod", "b")))))
	require.Equal(t, 1, h.misses(marshal(t, resource(nil, gaugeOf("g", double(0, 1, "pod", "a"), double(0, 1, "pod", "b"), double(0, 1, "pod", "c"))))))
	require.Equal(t, 1, h.misses(marshal(t, resource(nil, gaugeOf("g", double(0, 1, "pod", "a")), summaryOf("q", summaryPoint(0, 1, 2))))))
}

func TestByteOrdersShareASeries(t *testing.T) {
	h := newHarness(t, store.Options{})
	one := marshal(t, resource(nil, gaugeOf("g", double(0, 1, "a", "1", "b", "2"))))
	other := marshal(t, resource(nil, gaugeOf("g", double(1, 2, "b", "2", "a", "1"))))
	h.clock.advance(2 * time.Second)
	h.exportOK(one)
	require.Equal(t, 1, h.misses(other))
	h.exportOK(other)
	require.Zero(t, h.misses(one)+h.misses(other))
	require.Equal(t, []string{`g{a="1", b="2"} 1@0 2@1`}, h.held(""))
}

func TestWhatMakesASeriesIsInItsKey(t *testing.T) {
	h := newHarness(t, store.Options{})
	for _, rm := range []*mpb.ResourceMetrics{
		resource(nil, gaugeOf("g", double(0, 1))),
		resource(kv("k8s.pod.name", "p"), gaugeOf("g", double(0, 2))),
		resource(nil, gaugeOf("gg", double(0, 3))),
		resource(nil, gaugeOf("g", double(0, 4, "a", "b"))),
		resource(nil, gaugeOf("g", double(0, 5, "a", "bb"))),
		resource(nil, histogramOf("h", cumulative, buckets(0, []float64{1}, []uint64{1, 2}, 6))),
		resource(nil, histogramOf("h", cumulative, buckets(0, []float64{2}, []uint64{1, 2}, 6))),
	} {
		b := marshal(t, rm)
		require.Equal(t, 1, h.misses(b), rm)
		h.exportOK(b)
		require.Zero(t, h.misses(b))
	}
	require.Equal(t, []string{`g{a="b"} 4@0`, `g{a="bb"} 5@0`, `g{pod="p"} 2@0`, `g{} 1@0`, `gg{} 3@0`}, append(h.held("g"), h.held("gg")...))
}

func TestFreedSeriesAreMadeAnew(t *testing.T) {
	for name, m := range map[string]*mpb.Metric{
		"gauge":     gaugeOf("g", double(0, sentinel)),
		"delta":     sumOf("d", delta, true, double(0, sentinel)),
		"histogram": histogramOf("h", cumulative, buckets(0, []float64{1}, []uint64{1, 2}, 3)),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPushes(t, false, resource(nil, m))
			p.send()
			n := p.h.store.SeriesCount()
			p.h.clock.advance(3 * time.Minute)
			p.h.store.Sweep()
			require.Zero(t, p.h.store.SeriesCount())
			require.Zero(t, p.h.misses(p.body), "the cache does not know yet")
			p.send()
			require.Equal(t, n, p.h.store.SeriesCount())
			p.send()
			for _, s := range p.h.held("") {
				require.Regexp(t, `\} \S+@190 \S+@195$`, s, "both pushes are in the new series")
			}
			slots := p.h.receiver.cache.slots()
			require.Len(t, slots, 1)
			require.False(t, slots[0].series.Freed(), "the slot was filled anew")
		})
	}
}

func (c *cache) slots() (all []slot) {
	for i := range c.stripes {
		for _, o := range c.stripes[i].origins {
			all = append(all, o.slots...)
		}
	}
	return all
}

func TestCacheIsBounded(t *testing.T) {
	h := newHarness(t, store.Options{MaxSeries: 10})
	first := marshal(t, resource(nil, gaugeOf("g", double(0, 1, "pod", "p"))))
	h.exportOK(first)
	for i := range 50 {
		// One series, of ever other resources and attributes.
		h.exportOK(marshal(t, resource(kv("i", fmt.Sprint(i/2)), gaugeOf("g", double(0, 1, "pod", "p", "__name__", fmt.Sprint(i))))))
		require.LessOrEqual(t, h.receiver.cache.size.Load(), int64(20))
	}
	require.Equal(t, int64(20), h.receiver.cache.size.Load())
	require.Equal(t, 1, h.store.SeriesCount())
	require.Zero(t, h.misses(first), "what was known still is")
	for range 2 {
		h.receiver.cache.purge()
	}
	require.Zero(t, h.receiver.cache.size.Load())
	h.exportOK(first)
	require.Zero(t, h.misses(first))
}

func TestPurgeKeepsWhatIsUsed(t *testing.T) {
	p := newPushes(t, false, gateway(2)...)
	p.send()
	used := marshal(t, gateway(1)...)
	for range 3 {
		require.Zero(t, p.h.misses(used))
		p.h.exportOK(used)
		p.h.receiver.cache.purge()
	}
	require.Len(t, p.h.receiver.cache.slots(), 20, "those of one resource were not used")
	require.Equal(t, int64(20+2), p.h.receiver.cache.size.Load(), "points, and a resource that weighs two")
	p.h.clock.advance(3 * time.Minute)
	p.h.store.Sweep()
	p.h.receiver.cache.purge()
	require.Empty(t, p.h.receiver.cache.slots(), "freed series are not kept")
}

func TestRunPurgesUntilItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, store.Options{})
		h.exportOK(marshal(t, resource(nil, gaugeOf("g", double(0, 1)))))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.receiver.Run(ctx) }()
		time.Sleep(3 * purgeInterval)
		synctest.Wait()
		require.Zero(t, h.receiver.cache.size.Load())
		stop()
		require.NoError(t, <-done)
	})
}

func TestConcurrentPushes(t *testing.T) {
	h := newHarness(t, store.Options{})
	const senders, pushes = 4, 60
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range pushes {
				// All share two resources; some series come and go.
				b := marshal(t, append(gateway(2), resource(kv("pod", fmt.Sprint(i%3)), sumOf("d", cumulative, true, double(float64(i), 1, "s", fmt.Sprint(s)))))...)
				if _, err := h.receiver.export(t.Context(), asRequest(b)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range pushes {
			h.clock.advance(5 * time.Second)
			h.store.Sweep()
			h.receiver.cache.purge()
		}
	})
	wg.Wait()
	h.clock.advance(time.Hour)
	h.store.Sweep()
	h.receiver.cache.purge()
	h.receiver.cache.purge()
	require.Zero(t, h.store.SeriesCount())
	require.Zero(t, h.receiver.cache.size.Load())
}

// A request's bytes lie where those of the one before lay: what a batch
// remembers of them must not outlive them.
func TestNothingIsRememberedOfOverwrittenBytes(t *testing.T) {
	h := newHarness(t, store.Options{})
	b := marshal(t, resource(nil, gaugeOf("g", double(0, 1, "pod", "p1"))))
	for range 2 {
		h.exportOK(b)
		copy(b[bytes.Index(b, []byte("p1")):], "p2")
		h.exportOK(b)
		copy(b[bytes.Index(b, []byte("p2")):], "p1")
	}
	require.Equal(t, []string{`g{pod="p1"} 1@0`, `g{pod="p2"} 1@0`}, h.held(""))
}

func TestAttributesLikeThoseBefore(t *testing.T) {
	h := newHarness(t, store.Options{})
	h.clock.advance(time.Minute)
	at := func(s float64) []byte {
		hist := func(attrs ...string) *mpb.HistogramDataPoint {
			return buckets(s, nil, nil, 0, attrs...)
		}
		return marshal(t, resource(nil,
			gaugeOf("g", double(s, 1, "a", "1"), double(s, 2, "a", "1", "b", "2"), double(s, 3, "a", "1", "b", "2", "c", "3"), double(s, 4), double(s, 5, "a", "11")),
			gaugeOf("i", double(s, 6), double(s, 7, "a", "11"), double(s, 8, "a", "1")),
			histogramOf("h", cumulative, hist("a", "1"), hist("a", "1", "b", "2"), hist("a", "1"))))
	}
	h.exportOK(at(0))
	require.Zero(t, h.misses(at(1)))
	h.exportOK(at(1))
	require.Equal(t, []string{`g{a="1", b="2", c="3"} 3@0 3@1`, `g{a="1", b="2"} 2@0 2@1`, `g{a="1"} 1@0 1@1`, `g{a="11"} 5@0 5@1`, `g{} 4@0 4@1`}, h.held("g"))
	require.Equal(t, []string{`i{a="1"} 8@0 8@1`, `i{a="11"} 7@0 7@1`, `i{} 6@0 6@1`}, h.held("i"))
	require.Equal(t, []string{`h_count{a="1", b="2"} 0@0 0@1`, `h_count{a="1"} 0@0 0@1`}, h.held("h_count"))
}

// Each resource's metrics are guessed to be those of the resource before.
func TestMetricsUnlikeThoseBefore(t *testing.T) {
	h := newHarness(t, store.Options{})
	h.clock.advance(time.Minute)
	at := func(s float64) []byte {
		of := func(pod string, names ...string) *mpb.ResourceMetrics {
			var ms []*mpb.Metric
			for _, n := range names {
				m := gaugeOf(n, double(s, 1))
				if pod == "summaries" {
					m = summaryOf(n, summaryPoint(s, 1, 2))
				}
				ms = append(ms, m)
			}
			return resource(kv("k8s.pod.name", pod), ms...)
		}
		return marshal(t, of("1", "a", "b"), of("2", "a", "c", "d"), of("3", "d"), of("4"), of("5", "b", "a"), of("summaries", "b", "a"), of("6", "b", "a"))
	}
	h.exportOK(at(0))
	h.exportOK(at(1))
	var want []string
	for _, series := range []string{`a{pod="1"}`, `a{pod="2"}`, `a{pod="5"}`, `a{pod="6"}`, `b{pod="1"}`, `b{pod="5"}`, `b{pod="6"}`, `c{pod="2"}`, `d{pod="2"}`, `d{pod="3"}`} {
		want = append(want, series+" 1@0 1@1")
	}
	require.Equal(t, want, slices.DeleteFunc(h.held(""), func(s string) bool { return strings.Contains(s, "_") }))
}

// After each resource the one that came next in the last request is looked at
// first, whatever has become of it.
func TestResourcesInOtherOrders(t *testing.T) {
	h := newHarness(t, store.Options{})
	h.clock.advance(time.Minute)
	s := 0.0
	export := func(pods string) {
		var rms []*mpb.ResourceMetrics
		for _, pod := range pods {
			rms = append(rms, resource(kv("k8s.pod.name", string(pod)), gaugeOf("g", double(s, float64(pod-'a')))))
		}
		s++
		h.exportOK(marshal(t, rms...))
		require.Zero(t, h.misses(marshal(t, rms...)))
	}
	for _, pods := range []string{"abc", "cab", "abc", "bcbad", "d"} {
		export(pods)
	}
	for range 3 {
		export("c") // after which b came
		h.receiver.cache.purge()
	}
	require.Len(t, h.receiver.cache.slots(), 1, "the others were not used")
	export("cba")
	require.Len(t, h.receiver.cache.slots(), 3, "what left the cache is in it again")
	require.Equal(t, []string{`g{pod="a"} 0@0 0@1 0@2 0@3 0@8`, `g{pod="b"} 1@0 1@1 1@2 1@3 1@8`, `g{pod="c"} 2@0 2@1 2@2 2@3 2@5 2@6 2@7 2@8`, `g{pod="d"} 3@3 3@4`}, h.held(""))
}
