package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
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

	made   int
	pods   []*livePod
	gone   []*gonePod // that may still count
	pushed time.Time  // the last push of any pod began
	took   time.Duration
	events []string
	steps  int

	mu      sync.Mutex // guards what follows
	active  bool       // what it is,
	known   bool       // if that is known
	told    bool       // on the stream
	open    bool       // there is one, and it has told something
	differs time.Time  // since when the two are not the same
}

type livePod struct {
	name   string
	load   float64
	pushes int
	began  time.Time     // the last push
	gap    time.Duration // the longest between two pushes, which no push interval exceeds
}

// gonePod fell silent, or was ended by a marker.
type gonePod struct {
	name  string
	load  float64 // as pushed last
	at    time.Time
	ended bool
	// until is how long it is lost while other pods go on, if it was ended; otherwise
	// how long its loss may not be noticed.
	until time.Duration
	// floor is the least that the product's value in hindsight for this loss may be: the
	// sum when the pod pushed last, without those that are lost later and may be noticed
	// first.
	floor float64
	with  map[string]float64 // the other pods' loads then
}

const (
	// interval is no less than the longest push interval of the metric, which counts for
	// a pod with a single push: the Collector's, and what a busy machine adds.
	interval = 3 * time.Second
	// sweep is how long it takes for that to be known.
	sweep = 6 * time.Second
)

// lagTolerance is how long a push may take for the product to know which samples had
// arrived when a pod pushed last: it stores the lag of the newest sample alone, and
// tolerates 100 ms between that and the others. Beyond that the value in hindsight is of
// the push before or after, so it is not compared.
const lagTolerance = 80 * time.Millisecond

// late is how long a pod may be silent before it is late: 1.5 push intervals, two
// seconds at least. Each poll notices it, and there is one at each step.
func (p *livePod) late() time.Duration {
	if p.pushes < 2 {
		return sweep + interval*3/2
	}
	return max(late, p.gap*3/2)
}

// failed is how long the end of a pod may have been a failed scrape: three push
// intervals.
func (p *livePod) failed() time.Duration {
	if p.pushes < 2 {
		return sweep + 3*interval
	}
	return 3 * p.gap
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
		if f.took > lagTolerance {
			sum = 0 // no bound
		}
		g := &gonePod{name: p.name, load: p.load, at: time.Now(), until: p.late(), floor: sum, with: map[string]float64{}}
		for _, other := range f.pods {
			g.with[other.name] = other.load
		}
		f.gone = append(f.gone, g)
	}
	for _, p := range f.pods {
		p.load = float64(f.rng.IntN(6))
	}
	if f.steps++; f.steps%50 < 10 { // nothing to do for two seconds of ten
		for _, p := range f.pods {
			p.load = 0
		}
	}
	began := time.Now()
	err := f.push(ended)
	if f.took = time.Since(began); f.took > lagTolerance {
		for _, g := range f.gone {
			g.floor = 0
		}
	}
	if err != nil {
		if f.s.ctx.Err() == nil {
			f.t.Errorf("%s: push: %v", f.namespace, err)
		}
		return
	}
	f.note("pushed by %s", f.took)
	f.note("%s", f)
	f.compare()
}

// drop takes a pod out.
func (f *fleet) drop() *livePod {
	i := f.rng.IntN(len(f.pods))
	p := f.pods[i]
	f.pods = append(f.pods[:i], f.pods[i+1:]...)
	if p.load > 0 { // otherwise it is not lost, and in every value in hindsight
		for _, g := range f.gone {
			if !g.ended && time.Since(g.at) < g.until+time.Second {
				g.floor -= g.with[p.name]
			}
		}
	}
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
	// One moment for all: the value in hindsight is their sum.
	began := time.Now()
	at := uint64(began.UnixNano())
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
	if err != nil {
		return err
	}
	for _, pod := range f.pods {
		if pod.pushes++; pod.pushes > 1 {
			pod.gap = max(pod.gap, time.Since(pod.began))
		}
		pod.began, f.pushed = began, began
	}
	if ended != nil {
		f.gone = append(f.gone, &gonePod{name: ended.name, load: ended.load, at: time.Now(), ended: true, until: ended.failed()})
	}
	return nil
}

// queries and names are how many a fleet is asked about by: more than are kept
// compiled, and so few that the triggers remembered are soon as many as they get.
const queries, names = 50, 20

// compare asks as one of many ScaledObjects, and says what can't be true.
func (f *fleet) compare() {
	least, most := f.bounds()
	f.tellActivity(least, most)
	// The scaler holds once all pods have been silent for one retention.
	mayHold := !f.exact && !f.pushed.IsZero() && time.Since(f.pushed) > soakRetention-margin
	query := fmt.Sprintf(`sum(%s{namespace=%q, pod!="%d"})`, running, f.namespace, f.rng.IntN(queries))
	value, err := valueOf(f.s.ctx, f.keda, f.s.ref(f.namespace, query, "4"))
	switch {
	case f.s.ctx.Err() != nil:
	case err != nil && !mayHold:
		f.t.Errorf("%s: %v, want %v", f.namespace, err, least)
	case err == nil && (value < least || value > most):
		f.t.Errorf("%s: %v is not between %v and %v: %s%s", query, value, least, most, f, f.trace())
	}
}

// trace are the last events, the newest last.
func (f *fleet) trace() string { return "\n\t" + strings.Join(f.events, "\n\t") }

func (f *fleet) note(format string, args ...any) {
	at := time.Now().UTC().Format("15:04:05.000 ")
	f.events = append(f.events[max(0, len(f.events)-40):], at+fmt.Sprintf(format, args...))
}

// String is what is there and what is not.
func (f *fleet) String() string {
	var b strings.Builder
	for _, p := range f.pods {
		fmt.Fprintf(&b, "%s %v (%d pushes, gap %s) ", p.name, p.load, p.pushes, p.gap)
	}
	for _, g := range f.gone {
		how := "silent"
		if g.ended {
			how = "ended"
		}
		fmt.Fprintf(&b, "\n\t%s %v %s for %s, until %s, floor %v %v", g.name, g.load, how, time.Since(g.at), g.until, g.floor, g.with)
	}
	return b.String()
}

// margin is what the moments may be off by that decide what certainly counts.
const margin = 5 * time.Second

// bounds of the answer, which is max(current, min(floor, carried)) while pods are lost.
//
// The least is the sum of those that push. For pods that fell silent, it is that and
// their loads (carried, or current until they are late), but not more than the highest
// floor. A pod that was ended counts for sure only while no other has pushed since; no
// check can tell how short its push interval is.
//
// The most is that sum and the load of every pod that may be lost: for one retention,
// or for three push intervals if it was ended and others go on.
func (f *fleet) bounds() (least, most float64) {
	now := time.Now()
	current := f.sum()
	most = current
	carried, floor, each := current, 0.0, current
	kept := f.gone[:0]
	for _, g := range f.gone {
		age := now.Sub(g.at)
		if age > soakRetention+time.Second || g.ended && f.pushed.Sub(g.at) > g.until {
			continue
		}
		kept = append(kept, g)
		most += g.load
		switch {
		case age > soakRetention-margin, g.load == 0:
		case !g.ended:
			carried += g.load
			each = max(each, min(g.floor, current+g.load))
			if age > g.until { // it is late, so it has a value in hindsight
				floor = max(floor, g.floor)
			}
		case len(f.pods) == 0 && f.exact && f.pushed.Before(g.at):
			each = max(each, g.load)
		}
	}
	f.gone = kept
	return max(each, min(floor, carried)), most
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

// tellActivity compares the stream's last word with what is true, as far as that is
// known: it may lag, but not for long.
func (f *fleet) tellActivity(least, most float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active, f.known = least > 0, least > 0 || most == 0
	f.settleLocked()
	if !f.differs.IsZero() && time.Since(f.differs) > messageWithin {
		f.t.Errorf("%s: a stream has said %v for %v", f.namespace, f.told, time.Since(f.differs))
	}
}

func (f *fleet) settleLocked() {
	switch {
	case !f.open || !f.known || f.told == f.active:
		f.differs = time.Time{}
	case f.differs.IsZero():
		f.differs = time.Now()
	}
}
