package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkPushLatency measures from the start of an OTLP export to the message
// on KEDA's stream, over loopback, with a transition in every round:
//
//	go test -run='^$' -bench=PushLatency -benchtime=200x .
func BenchmarkPushLatency(b *testing.B) {
	const namespace = "latency"
	s := startScaler(b)
	pusher := s.pusher(b, namespace)
	pusher.push(b, 0)
	stream, err := s.raw(b).StreamIsActive(b.Context(), s.ref(namespace, wrapped(running, namespace), "4"))
	require.NoError(b, err)
	first, err := stream.Recv()
	require.NoError(b, err)
	require.False(b, first.Result)

	type message struct {
		active bool
		at     time.Time
		err    error
	}
	messages := make(chan message, 1)
	go func() {
		for {
			m, err := stream.Recv()
			messages <- message{m.GetResult(), time.Now(), err}
			if err != nil {
				return
			}
		}
	}()

	var latencies []time.Duration
	busy := false
	for b.Loop() {
		busy = !busy
		load := 0.0
		if busy {
			load = 5
		}
		pusher.tick() // not part of the latency
		begin := time.Now()
		pusher.export(b, load)
		var got message
		select {
		case got = <-messages:
		case <-time.After(messageWithin):
			b.Fatalf("load %v: nothing on the stream", load)
		}
		require.NoError(b, got.err)
		require.Equal(b, busy, got.active)
		latencies = append(latencies, got.at.Sub(begin))
	}
	slices.Sort(latencies)
	quantile := func(q float64) float64 {
		return float64(latencies[int(q*float64(len(latencies)-1))]) / float64(time.Millisecond)
	}
	b.ReportMetric(quantile(0.50), "p50-ms")
	b.ReportMetric(quantile(0.99), "p99-ms")
}
