package query

import (
	"context"
	"sync"
)

// maxGlance is how many samples a plan's last evaluation may have read for a push
// to make the next one. So many take 6 µs, or 20 if they are not in the CPU's cache
// (BenchmarkGlance); the smallest of requests takes 40, and beyond that it is better
// that one goroutine evaluates once for many pushes.
const maxGlance = 128

// Listener judges a plan's value while a push waits for it.
type Listener interface {
	// Settled tells whether the value is no news; whole says that nothing
	// is lost of its Result. It must not block, nor call the plan. Calls may run at the same
	// time.
	Settled(value float64, whole bool) bool
}

// Watch tells when a plan's value may be news to a listener.
type Watch struct {
	p    *Plan
	l    Listener
	news chan struct{}
	i    int // where listeners have it; guarded by their mutex
}

// Watch watches the plan's value for a listener. The caller must Close it.
//
// Whenever something has changed about the plan's series, either the listener
// says that a value read after the change is settled, or Changed becomes ready:
// because the value isn't settled, because there is none, or because it takes
// longer to find than a push may wait.
//
// Whoever evaluates for the listener must have it say no from before Arm until
// it has noted the outcome, or it would take a newer value for an old one.
func (p *Plan) Watch(l Listener) (*Watch, error) {
	w := &Watch{p: p, l: l, news: make(chan struct{}, 1)}
	if err := p.standing.join(w); err != nil {
		return nil, err
	}
	return w, nil
}

// Changed is ready to receive when there may be news. After receiving call Arm,
// and only then look at the clock and evaluate.
func (w *Watch) Changed() <-chan struct{} { return w.news }

// Arm makes further changes ready the channel again.
func (w *Watch) Arm() {
	st := &w.p.standing
	st.mu.Lock()
	defer st.mu.Unlock()
	st.armLocked()
}

// Close ends the watch. It must be called once.
func (w *Watch) Close() { w.p.standing.leave(w) }

// listeners are those of one plan: the streams of all triggers that ask it.
type listeners struct {
	mu  sync.Mutex // guards what follows; taken after standing.mu, or before an attempt to take that
	all []*Watch
}

func (ls *listeners) none() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.all) == 0
}

func (ls *listeners) add(w *Watch) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	w.i = len(ls.all)
	ls.all = append(ls.all, w)
}

func (ls *listeners) remove(w *Watch) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	last := len(ls.all) - 1
	ls.all[w.i] = ls.all[last]
	ls.all[w.i].i = w.i
	ls.all[last] = nil
	ls.all = ls.all[:last]
}

// changed is the hot path of a push to watched series: it evaluates once for all
// listeners, and wakes those that the value is news to.
//
// No change is lost. The store calls it after every change that found the watch
// armed; one that found it unarmed came before the arming that follows, by this
// call or after it. An evaluation here, or by a listener woken here, arms, looks
// at the clock and reads, in this order, so it sees both. An answer that stands
// was read after the last arming, too. A poll may have looked at the clock before
// it armed; but its answer stands only until the first sample that is newer.
func (st *standing) changed() {
	st.listeners.mu.Lock()
	defer st.listeners.mu.Unlock()
	if len(st.listeners.all) == 0 {
		return
	}
	a, ok := st.glance()
	for _, w := range st.listeners.all {
		if ok && w.l.Settled(a.value, a.lost.Count == 0) {
			continue
		}
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
}

// glance evaluates if that is quickly done; ok is false if not, or if the result
// is not a number. It waits for nobody: pushes must not stand still while a poll
// evaluates something large.
func (st *standing) glance() (a answer, ok bool) {
	if !st.mu.TryLock() {
		return a, false
	}
	defer st.mu.Unlock()
	if st.kept == nil || !st.kept.Stored() || st.read > maxGlance {
		return a, false
	}
	st.armLocked()
	in, err := st.kept.Now(context.Background())
	if err != nil {
		return a, false
	}
	if st.standsLocked(in.At()) {
		return st.last, st.last.err == nil
	}
	st.p.e.metrics.pushed.Inc()
	v, ok, err := st.p.direct.eval(context.Background(), &in, in.At(), st.p.e.limits())
	st.read = in.Read()
	if !ok || err != nil || !finite(v) {
		return a, false // why, is for the listeners to find out
	}
	a = answer{from: in.At(), value: v, lost: in.Lost()}
	st.rememberLocked(&in, a)
	return a, true
}
