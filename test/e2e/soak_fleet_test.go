package e2e

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// fleet is a model's pods, and what KEDA must read of them.
type fleet struct {
	t         *testing.T
	s         *soak
	namespace string
	exact     bool // no pod falls silent
	rng       *rand.Rand
	otlp      collector.MetricsServiceClient
	keda      externalscaler.ExternalScalerClient

	made  int
	pods  []*livePod
	lost  []lostPod
	sums  []pastSum
	steps int

	mu      sync.Mutex // guards what follows
	active  bool       // what it is
	told    bool       // on the stream
	open    bool       // there is one, and it has told something
	differs time.Time  // since when the two are not the same
}

type livePod struct {
	name string
	load float64
}

// lostPod fell silent at a time, when the sum was that.
type lostPod struct {
	at        time.Time
	load, sum float64
}

// pastSum is the most that the sum may have been read as.
type pastSum struct {
	at   time.Time
	most float64
}

func newFleet(t *testing.T, s *soak, namespace string, exact bool, rng *rand.Rand) *fleet {
	return &fleet{
		t: t, s: s, namespace: namespace, exact: exact, rng: rng,
		otlp: collector.NewMetricsServiceClient(s.dial(t, s.otlp, pushToken)),
		keda: externalScaler(s, t),
	}
}

func externalScaler(s *soak, t *testing.T) externalscaler.ExternalScalerClient {
	return externalscaler.NewExternalScalerClient(s.dial(t, s.keda, ""))
}

// valueOf asks for the one metric of a trigger.
func valueOf(ctx context.Context, keda externalscaler.ExternalScalerClient, ref *externalscaler.ScaledObjectRef) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := keda.GetMetrics(ctx, &externalscaler.GetMetricsRequest{ScaledObjectRef: ref, MetricName: "m"})
	if err != nil {
		return 0, err
	}
	return response.GetMetricValues()[0].GetMetricValueFloat(), nil
}

// step lets something happen, pushes what the pods do, and compares the answer.
func (f *fleet) step() {
	var ended *livePod
	switch chance := f.rng.IntN(100); {
	case chance < 15 && len(f.pods) < 10 || len(f.pods) == 0 && chance < 40:
		f.made++
		f.pods = append(f.pods, &livePod{name: fmt.Sprintf("pod-%d", f.made)})
	case chance < 25 && len(f.pods) > 0:
		ended = f.drop()
	case chance < 27 && len(f.pods) > 0 && !f.exact:
		sum := f.sum()
		p := f.drop()
		f.lost = append(f.lost, lostPod{at: time.Now(), load: p.load, sum: sum})
	}
	for _, p := range f.pods {
		p.load = float64(f.rng.IntN(6))
	}
	if f.steps++; f.steps%50 < 10 { // nothing to do for two seconds of ten
		for _, p := range f.pods {
			p.load = 0
		}
	}
	if err := f.push(ended); err != nil {
		if f.s.ctx.Err() == nil {
			f.t.Errorf("%s: push: %v", f.namespace, err)
		}
		return
	}
	f.compare()
}

// drop takes a pod out.
func (f *fleet) drop() *livePod {
	i := f.rng.IntN(len(f.pods))
	p := f.pods[i]
	f.pods = append(f.pods[:i], f.pods[i+1:]...)
	return p
}

func (f *fleet) sum() (sum float64) {
	for _, p := range f.pods {
		sum += p.load
	}
	return sum
}

// push sends a sample of each pod, and a marker of the one that ended.
func (f *fleet) push(ended *livePod) error {
	p := pusher{namespace: f.namespace}
	request := &collector.ExportMetricsServiceRequest{}
	// One moment for all: the value then, which is held for who is lost, is their sum.
	at := uint64(time.Now().UnixNano())
	add := func(pod *livePod, flags metrics.DataPointFlags) {
		p.pod = pod.name
		one := p.request(pod.load).GetResourceMetrics()
		point := one[0].GetScopeMetrics()[0].GetMetrics()[0].GetGauge().GetDataPoints()[0]
		point.Flags, point.TimeUnixNano = uint32(flags), at
		request.ResourceMetrics = append(request.ResourceMetrics, one...)
	}
	for _, pod := range f.pods {
		add(pod, metrics.DataPointFlags_DATA_POINT_FLAGS_DO_NOT_USE)
	}
	if ended != nil {
		add(ended, metrics.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)
	}
	ctx, cancel := context.WithTimeout(f.s.ctx, callTimeout)
	defer cancel()
	response, err := f.otlp.Export(ctx, request)
	if rejected := response.GetPartialSuccess().GetRejectedDataPoints(); rejected > 0 {
		return fmt.Errorf("%d points rejected: %s", rejected, response.GetPartialSuccess().GetErrorMessage())
	}
	return err
}

// queries and names are how many a fleet is asked about by: more than are kept
// compiled, and so few that the triggers remembered are soon as many as they get.
const queries, names = 50, 20

// compare asks as one of many ScaledObjects, and says what can't be true.
func (f *fleet) compare() {
	least, most := f.bounds()
	f.tellActivity()
	query := fmt.Sprintf(`sum(%s{namespace=%q, pod!="%d"})`, running, f.namespace, f.rng.IntN(queries))
	value, err := valueOf(f.s.ctx, f.keda, f.s.ref(f.namespace, query, "4"))
	switch {
	case f.s.ctx.Err() != nil:
	case err != nil && len(f.lost) == 0:
		f.t.Errorf("%s: %v, want %v", f.namespace, err, least)
	case err == nil && (value < least || value > most):
		f.t.Errorf("%s: %v is not between %v and %v", f.namespace, value, least, most)
	}
}

// forgotten is when a silent series is certainly freed: no longer than the
// retention, a sweep and what a busy machine adds.
const forgotten = soakRetention + 15*time.Second

// bounds of the answer: the sum, unless pods fell silent.
func (f *fleet) bounds() (least, most float64) {
	now := time.Now()
	least = f.sum()
	most = least
	kept := f.lost[:0]
	for i, l := range f.lost {
		if now.Sub(l.at) > forgotten {
			continue
		}
		kept = append(kept, l)
		most += l.load // as long as it may still come
		// Of losses within a second of each other the last counts.
		if i+1 < len(f.lost) && f.lost[i+1].at.Sub(l.at) < 2*time.Second {
			continue
		}
		if now.Sub(l.at) < soakRetention-5*time.Second {
			least = max(least, math.Min(f.sum()+l.load, l.sum))
		}
	}
	f.lost = kept
	f.sums = append(f.sums, pastSum{now, most})
	for len(f.sums) > 0 && now.Sub(f.sums[0].at) > forgotten {
		f.sums = f.sums[1:]
	}
	if len(f.lost) > 0 {
		for _, s := range f.sums {
			most = max(most, s.most)
		}
	}
	return least, most
}

// watch opens one stream after the other, as if ScaledObjects were changed.
func (f *fleet) watch() {
	for n := 0; f.s.ctx.Err() == nil; n++ {
		ctx, cancel := context.WithTimeout(f.s.ctx, time.Duration(2+n%5)*time.Second)
		ref := f.s.ref(f.namespace, fmt.Sprintf("sum(%s{namespace=%q})", running, f.namespace), "4")
		ref.Name = fmt.Sprintf("changed-%d", n%names)
		stream, err := f.keda.StreamIsActive(ctx, ref)
		for err == nil {
			var message *externalscaler.IsActiveResponse
			if message, err = stream.Recv(); err == nil {
				f.mu.Lock()
				f.told, f.open = message.GetResult(), true
				f.settleLocked()
				f.mu.Unlock()
			}
		}
		cancel()
		f.mu.Lock()
		f.open, f.differs = false, time.Time{}
		f.mu.Unlock()
	}
}

// tellActivity compares the stream's last word with what is true: it may lag, but
// not for long.
func (f *fleet) tellActivity() {
	if !f.exact {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = f.sum() > 0
	f.settleLocked()
	if !f.differs.IsZero() && time.Since(f.differs) > messageWithin {
		f.t.Errorf("%s: a stream has said %v for %v", f.namespace, f.told, time.Since(f.differs))
	}
}

func (f *fleet) settleLocked() {
	switch {
	case !f.open || f.told == f.active:
		f.differs = time.Time{}
	case f.differs.IsZero():
		f.differs = time.Now()
	}
}
