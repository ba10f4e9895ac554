package otlpreceiver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// pushes is one request sent again and again, each time with new times and
// values, which are written where they stand. More than one take turns.
type pushes struct {
	t       testing.TB
	h       *harness
	next    int
	all     []pushed
	*pushed // the one that was sent last
	sent    int
}

type pushed struct {
	body  []byte
	req   *request
	times []int // where they stand
	vals  []int
}

func newPushes(t testing.TB, pdataOnly bool, rms ...*mpb.ResourceMetrics) *pushes {
	return newTurns(t, pdataOnly, rms)
}

func newTurns(t testing.TB, pdataOnly bool, requests ...[]*mpb.ResourceMetrics) *pushes {
	p := &pushes{t: t, h: newHarness(t, store.Options{})}
	p.h.receiver.pdataOnly = pdataOnly
	for _, rms := range requests {
		p.all = append(p.all, newPushed(t, rms))
	}
	p.pushed = &p.all[0]
	return p
}

func newPushed(t testing.TB, rms []*mpb.ResourceMetrics) pushed {
	p := pushed{body: marshal(t, rms...)}
	p.req = asRequest(p.body)
	find := func(tag byte, v uint64) (places []int) {
		needle := binary.LittleEndian.AppendUint64([]byte{tag}, v)
		for i := 0; ; i += len(needle) {
			n := bytes.Index(p.body[i:], needle)
			if n < 0 {
				return places
			}
			i += n
			places = append(places, i+1)
		}
	}
	p.times = find(pointTime, at(0))
	p.vals = find(numberDouble, math.Float64bits(sentinel))
	require.NotEmpty(t, p.times)
	return p
}

const sentinel = 1234.5

// patch makes the next request another push, five seconds later.
func (p *pushes) patch() {
	if p.next == 0 {
		p.h.clock.advance(5 * time.Second)
		p.sent++
	}
	p.pushed, p.next = &p.all[p.next], (p.next+1)%len(p.all)
	now := uint64(p.h.clock.now().UnixNano())
	for _, i := range p.times {
		binary.LittleEndian.PutUint64(p.body[i:], now)
	}
	for _, i := range p.vals {
		binary.LittleEndian.PutUint64(p.body[i:], math.Float64bits(float64(p.sent)))
	}
}

func (p *pushes) send() {
	p.patch()
	if res, err := p.h.receiver.export(p.t.Context(), p.req); err != nil || len(*res) > 0 {
		p.t.Fatal(err, string(*res))
	}
}

// gateway is what a collector sends for many pods: 20 gauges each.
func gateway(pods int) []*mpb.ResourceMetrics { return podsFrom(0, pods) }

// fleet is what many gateways send, one after the other: more than the
// processor's caches hold.
func fleet() (requests [][]*mpb.ResourceMetrics) {
	for i := range 20 {
		requests = append(requests, podsFrom(50*i, 50))
	}
	return requests
}

func podsFrom(first, pods int) (rms []*mpb.ResourceMetrics) {
	for i := first; i < first+pods; i++ {
		rms = append(rms, podsOf(fmt.Sprintf("fbopt-predictor-7d4b9c6f5-%05d", i))...)
	}
	return rms
}

func podsOf(names ...string) (rms []*mpb.ResourceMetrics) {
	for _, pod := range names {
		var ms []*mpb.Metric
		for j := range 20 {
			ms = append(ms, gaugeOf(fmt.Sprintf("vllm:some_metric_of_theirs_%d", j),
				double(0, sentinel, "model_name", "fbopt", "namespace", "models", "deployment", "fbopt-predictor", "pod", pod)))
		}
		rms = append(rms, resource(kv("service.name", "otel-collector", "service.instance.id", "localhost:8080",
			"k8s.namespace.name", "models", "k8s.deployment.name", "fbopt-predictor", "k8s.pod.name", pod), ms...))
	}
	return rms
}

func one(rms []*mpb.ResourceMetrics) [][]*mpb.ResourceMetrics { return [][]*mpb.ResourceMetrics{rms} }

// BenchmarkPush is one push of a sidecar, of a gateway, of one of 20 gateways in
// turn, and of a sidecar with histograms: stored by the hot path, decoded by
// pdata and dropped, and stored by pdata's path.
func BenchmarkPush(b *testing.B) {
	for _, shape := range []struct {
		name string
		rms  [][]*mpb.ResourceMetrics
	}{{"sidecar", one(gateway(1))}, {"gateway", one(gateway(50))}, {"fleet", fleet()}, {"kserve", one([]*mpb.ResourceMetrics{kserve(0, true)})}} {
		measure := func(way string, pdataOnly bool, push func(*pushes)) {
			b.Run(shape.name+"/"+way, func(b *testing.B) { benchmarkTurns(b, newTurns(b, pdataOnly, shape.rms...), push) })
		}
		measure("hot", false, (*pushes).send)
		measure("decode-and-drop", true, func(p *pushes) {
			p.patch()
			if _, err := decode(p.body); err != nil {
				b.Fatal(err)
			}
		})
		measure("pdata", true, (*pushes).send)
	}
}

func benchmarkTurns(b *testing.B, p *pushes, push func(*pushes)) {
	for range 30 * len(p.all) {
		p.send() // rings have grown
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		push(p)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(p.times)), "ns/point")
}
