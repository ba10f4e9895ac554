package otlpreceiver

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// TestOriginAgainstAMap does at random what requests and purges do, and holds
// the slots equal to a map and a list.
func TestOriginAgainstAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		o := &origin{points: rng.IntN(100)}
		held := map[key][]*store.Series{}
		used := map[key]uint32{}
		var order []key
		randomKey := func() key { return key{rng.Uint64N(200), 7} } // some collide in the index
		age := uint32(0)
		for range 1000 {
			switch id := randomKey(); rng.IntN(100) {
			case 0:
				age++
				unused := func(used uint32) bool { return age-used > 1 }
				var dead []int
				for i := range o.slots {
					if o.dead(&o.slots[i], unused) {
						dead = append(dead, i)
					}
				}
				freed := 0
				order = slices.DeleteFunc(order, func(id key) bool {
					if !unused(used[id]) {
						return false
					}
					freed += len(held[id])
					delete(held, id)
					return true
				})
				require.Equal(t, int64(freed), o.remove(dead, unused))
			case 1, 2, 3, 4, 5, 6, 7, 8, 9:
				all := []*store.Series{{}, {}, {}}
				if id[0]%3 > 0 {
					all = all[:1]
				}
				if held[id] == nil {
					order = append(order, id)
				}
				held[id], used[id] = all, age
				o.set(o.find(id, 0), id, age, all)
			default:
				i := o.find(id, rng.IntN(len(order)+2))
				require.Equal(t, held[id] != nil, i >= 0)
				if i >= 0 {
					o.slots[i].touch(age)
					used[id] = age
				}
			}
			require.Len(t, o.slots, len(order))
			require.Equal(t, len(order) > mostScanned, o.index != nil, "more are not looked through one by one")
			require.LessOrEqual(t, 4*len(o.slots), 3*max(len(o.index), 2*mostScanned), "the index has room")
		}
		for i, id := range order {
			require.Equal(t, i, o.find(id, 0))
			var one [1]*store.Series
			all := o.series(&o.slots[i], &one)
			require.Len(t, all, len(held[id]))
			for j := range all {
				require.Same(t, held[id][j], all[j])
			}
			require.Same(t, all[0], o.slots[i].series)
		}
	}
}

// What became of a slot after it was seen to be dead is not undone.
func TestRemoveLooksAgain(t *testing.T) {
	o := &origin{}
	for i := range uint64(4) {
		o.set(-1, key{i}, 0, []*store.Series{{}})
	}
	o.slots[1].touch(5)
	require.Equal(t, int64(2), o.remove([]int{0, 1, 3}, func(used uint32) bool { return used < 5 }))
	require.Equal(t, []key{{1}, {2}}, []key{o.slots[0].id, o.slots[1].id})
}

// shuffled is what a sender pushes that has its points in a map: a request of
// the same points in ever other orders.
func shuffled(pods int) (requests [][]*mpb.ResourceMetrics) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 16 {
		rms := gateway(pods)
		for _, rm := range rms {
			ms := rm.ScopeMetrics[0].Metrics
			rng.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
		}
		requests = append(requests, rms)
	}
	return requests
}

// underOne puts the metrics of all resources under the first.
func underOne(requests [][]*mpb.ResourceMetrics) [][]*mpb.ResourceMetrics {
	rng := rand.New(rand.NewPCG(5, 6))
	for i, rms := range requests {
		var ms []*mpb.Metric
		for _, rm := range rms {
			ms = append(ms, rm.ScopeMetrics[0].Metrics...)
		}
		rng.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
		requests[i] = []*mpb.ResourceMetrics{resource(nil, ms...)}
	}
	return requests
}

// BenchmarkOrder is a push of 50 pods whose points come in the order of the
// push before, and in another each time: of a pod's 20 points, and of all 1000
// under one resource.
func BenchmarkOrder(b *testing.B) {
	for name, requests := range map[string][][]*mpb.ResourceMetrics{
		"same": one(gateway(50)), "shuffled": shuffled(50), "shuffled-1000": underOne(shuffled(50)),
	} {
		b.Run(name, func(b *testing.B) { benchmarkTurns(b, newTurns(b, false, requests...), (*pushes).send) })
	}
}

// BenchmarkCacheMemory prints the live heap of the receiver's cache per series:
// pods of 20, one resource with all, and histograms of 19 series each. The
// store's own is taken off.
func BenchmarkCacheMemory(b *testing.B) {
	for name, o := range map[string]struct{ origins, points, each int }{
		"pods": {5000, 20, 1}, "one": {1, 100_000, 1}, "histograms": {1000, 5, 19},
	} {
		b.Run(name, func(b *testing.B) {
			all := make([]*store.Series, o.each)
			for i := range all {
				all[i] = &store.Series{}
			}
			for range b.N {
				before := heap()
				c, h := newCache(1<<30), newHasher()
				for i := range o.origins {
					in := c.putOrigin(&origin{id: h.of(fmt.Appendf(nil, "origin %d", i)), points: o.points})
					for j := range o.points {
						c.put(in, h.of(fmt.Appendf(nil, "point %d of %d", j, i)), slices.Clone(all)...)
					}
				}
				b.ReportMetric(float64(heap()-before)/float64(o.origins*o.points*o.each), "B/series")
				runtime.KeepAlive(c)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
