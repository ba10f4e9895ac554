package otlpreceiver

import (
	"bytes"
	"testing"

	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// stranger stands where each request has a text that none before it had.
const stranger = "0000000000000000"

// bomb is a thousand points with one more value of a label each.
func bomb() []*mpb.ResourceMetrics {
	m := gaugeOf("bomb")
	for range 1000 {
		m.GetGauge().DataPoints = append(m.GetGauge().GetDataPoints(), double(0, 1, "namespace", "team", "request_id", stranger))
	}
	return []*mpb.ResourceMetrics{resource(nil, m)}
}

// restarted is what a gateway sends for a thousand series of pods that nobody has
// seen yet.
func restarted() (rms []*mpb.ResourceMetrics) {
	for range 50 {
		rms = append(rms, podsOf("fbopt-predictor-7d4b9c6f5-"+stranger)...)
	}
	return rms
}

// strangers is a request that is new each time it is sent.
type strangers struct {
	b      *testing.B
	h      *harness
	body   []byte
	places []int
	each   int // places that have the same text
	sent   int
}

func (s *strangers) send() {
	for i, at := range s.places {
		text := s.body[at : at+len(stranger)]
		for n, digit := s.sent+i/s.each, len(text)-1; digit >= 0; n, digit = n/10, digit-1 {
			text[digit] = byte('0' + n%10)
		}
	}
	s.sent += len(s.places) / s.each
	if _, err := s.h.receiver.export(s.b.Context(), asRequest(s.body)); err != nil {
		s.b.Fatal(err)
	}
}

// forget makes room.
func (s *strangers) forget() {
	s.b.StopTimer()
	s.h.store.Reset()
	s.h.receiver.cache.purge()
	s.b.StartTimer()
}

// BenchmarkNew is a request of a thousand series that are new: for pods, and such
// as are refused because their metric is at its limit.
func BenchmarkNew(b *testing.B) {
	for _, shape := range []struct {
		name string
		rms  []*mpb.ResourceMetrics
		each int
		o    store.Options
	}{
		{"made", restarted(), 21, store.Options{}},
		{"refused", bomb(), 1, store.Options{MaxSeriesPerMetric: 20_000}},
	} {
		b.Run(shape.name, func(b *testing.B) {
			s := &strangers{b: b, h: newHarness(b, shape.o), body: marshal(b, shape.rms...), each: shape.each}
			for i := 0; ; i += len(stranger) {
				n := bytes.Index(s.body[i:], []byte(stranger))
				if n < 0 {
					break
				}
				i += n
				s.places = append(s.places, i)
			}
			for range 30 {
				s.send()
			}
			b.ReportAllocs()
			for n := 1; b.Loop(); n++ {
				if s.send(); n%100 == 0 && shape.o.MaxSeriesPerMetric == 0 {
					s.forget()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/point")
		})
	}
}
