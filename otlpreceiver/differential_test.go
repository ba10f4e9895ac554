package otlpreceiver

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	colpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// pair is two receivers that get the same requests at the same time, one of
// which has no hot path.
type pair struct {
	t          testing.TB
	clock      *clock
	hot, pdata *harness
}

func newPair(t testing.TB) *pair {
	p := &pair{t: t, clock: newClock()}
	one := func() *harness {
		h := &harness{t: t, clock: p.clock, reg: prometheus.NewRegistry()}
		h.store = store.New(store.Options{Now: p.clock.now, MaxSeries: 60, MaxSeriesPerMetric: 12, MaxSamplesPerSeries: 8, Registerer: h.reg})
		var err error
		h.receiver, err = New(Options{Store: h.store, ResourceAttributes: []string{"*"}, Registerer: h.reg})
		require.NoError(t, err)
		return h
	}
	p.hot, p.pdata = one(), one()
	p.pdata.receiver.pdataOnly = true
	return p
}

// send sends a request to both and requires the same of both.
func (p *pair) send(b []byte) {
	p.t.Helper()
	sent := slices.Clone(b)
	got, gotErr := p.hot.receiver.export(p.t.Context(), asRequest(sent))
	for i := range sent {
		sent[i] = '#' // the next request's, as far as anybody may know
	}
	want, wantErr := p.pdata.receiver.export(p.t.Context(), asRequest(slices.Clone(b)))
	require.Equal(p.t, fmt.Sprint(wantErr), fmt.Sprint(gotErr), "the status")
	if wantErr == nil {
		require.Equal(p.t, string(*want), string(*got), "the response")
	}
	require.Equal(p.t, p.pdata.dump(), p.hot.dump(), "what is stored")
	require.Equal(p.t, p.pdata.counters(), p.hot.counters(), "what is counted")
}

// dump returns all series and samples to the last bit.
func (h *harness) dump() []string {
	out := []string{}
	h.each(labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*"), func(lset labels.Labels, it chunkenc.Iterator) {
		line := lset.String()
		for k := it.Next(); k != chunkenc.ValNone; k = it.Next() {
			if k == chunkenc.ValFloatHistogram {
				at, fh := it.AtFloatHistogram(nil)
				line += fmt.Sprintf(" %v@%d", fh, at)
				continue
			}
			at, v := it.At()
			line += fmt.Sprintf(" %x@%d", math.Float64bits(v), at)
		}
		out = append(out, line)
	})
	return out
}

func (h *harness) counters() string {
	families, err := h.reg.Gather()
	require.NoError(h.t, err)
	var b bytes.Buffer
	for _, f := range families {
		if f.GetName() == "keda_otel_scaler_otlp_sample_age_seconds" {
			continue // only the hot path looks for a first point
		}
		_, err := expfmt.MetricFamilyToText(&b, f)
		require.NoError(h.t, err)
	}
	return b.String()
}

// Beyond what the hot path keeps of pdata's, and beyond what it gives to pdata
// one by one.
func TestManyPartsAreReadAsPdataReadsThem(t *testing.T) {
	var ps []*mpb.NumberDataPoint
	for i := range maxDecoded + 100 {
		one := double(0, float64(i))
		one.Attributes = []*commonpb.KeyValue{attr("i", &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(i % maxDecoded)}})}
		ps = append(ps, one)
	}
	points := resource(nil, gaugeOf("g", ps...), summaryOf("q", summaryPoint(0, 1, 2)))
	hollow := resource(nil, gaugeOf("g", double(0, 1)))
	for range maxOwnMetrics + 1 {
		hollow.ScopeMetrics[0].Metrics = append(hollow.ScopeMetrics[0].Metrics, &mpb.Metric{})
	}
	for name, b := range map[string][]byte{"points": marshal(t, points), "metrics": marshal(t, hollow)} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.send(b)
			p.send(b)
			in := newBatch(p.hot.receiver)
			require.Equal(t, name == "points", in.read(b))
			require.Equal(t, map[string]int{"points": maxDecoded, "metrics": maxOwnMetrics + 1}[name], len(in.decoded))
		})
	}
}

// FuzzWireAgainstPdata holds the hot path equal to pdata's: to what is sent as
// it is, and to what a program of oddities makes, each sent again so that the
// cache is hit, then in other orders and with other points in between, so that
// its guesses are wrong, and once more after its series were freed.
func FuzzWireAgainstPdata(f *testing.F) {
	add := func(rms ...*mpb.ResourceMetrics) {
		b, err := proto.Marshal(&colpb.ExportMetricsServiceRequest{ResourceMetrics: rms})
		require.NoError(f, err)
		f.Add(b, []byte{})
	}
	add(kserve(0, true))
	add(kserve(0, true), kserve(0, false), resource(kv("pod", "b"), gaugeOf("g", double(0, 1, "a", "1"), double(0, 2, "a", "2"))))
	add(resource(kv("pod", "b"), gaugeOf("g", ended(0)), sumOf("d", delta, true, double(-1, 1), double(0, 2)), sumOf("u", unspecified, false, double(0, 1))))
	add(resource(nil,
		histogramOf("h", delta, buckets(0, []float64{1}, []uint64{1, 2}, 3), &mpb.HistogramDataPoint{TimeUnixNano: at(0), Flags: noValue}),
		exponentialOf("e", delta, expPoint(-1, 10, -5, []uint64{1, 0, 9}, 3)), summaryOf("q", summaryPoint(0, 1, 2, 0.5, 3)), &mpb.Metric{Name: "hollow"}))
	for i := range 256 {
		program := make([]byte, 160)
		x := uint32(i)*2654435761 + 1
		for j := range program {
			x = x*1664525 + 1013904223
			program[j] = byte(x >> 24)
		}
		f.Add([]byte{}, program)
	}

	f.Fuzz(func(t *testing.T, raw, program []byte) {
		if len(raw) > 1<<14 || len(program) > 1<<10 {
			t.Skip()
		}
		p := newPair(t)
		made := func() []byte {
			o := &oddities{program: program, now: p.clock.now()}
			return o.request()
		}
		vary := rand.New(rand.NewPCG(uint64(crc32.ChecksumIEEE(program)), 0))
		varied := func() []byte {
			o := &oddities{program: program, now: p.clock.now(), vary: vary}
			return o.request()
		}
		other := func() []byte {
			o := &oddities{program: program[len(program)/2:], now: p.clock.now()}
			return o.request()
		}
		for range 2 {
			p.send(made())
			p.send(raw)
		}
		p.clock.advance(5 * time.Second)
		p.send(varied())
		p.send(made())
		p.clock.advance(5 * time.Second)
		p.send(other())
		p.send(append(varied(), made()...))
		p.hot.receiver.cache.purge()
		p.clock.advance(130 * time.Second)
		p.hot.store.Sweep()
		p.pdata.store.Sweep()
		for range 2 {
			p.send(made())
			p.send(raw)
		}
		require.LessOrEqual(t, p.hot.receiver.cache.size.Load(), int64(120))
	})
}
