package scaler

import (
	"cmp"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// maxRefused bounds the ScaledObjects of which it is remembered that their
// metadata was refused.
const maxRefused = 1000

// Object names a ScaledObject.
type Object struct{ Namespace, Name string }

// String returns namespace/name.
func (o Object) String() string { return o.Namespace + "/" + o.Name }

// Compare orders by namespace, then name.
func (o Object) Compare(p Object) int {
	return cmp.Or(cmp.Compare(o.Namespace, p.Namespace), cmp.Compare(o.Name, p.Name))
}

// Refusal is of metadata that was not understood.
type Refusal struct {
	At   time.Time
	Text string
}

// objects finds the remembered triggers by their ScaledObjects.
type objects struct {
	refused *lru.Cache[Object, Refusal]
	listed  *listed

	mu            sync.Mutex // guards what follows; held while a trigger is added, before the cache's own
	triggers      map[Object][]*state
	watchers      map[Object][]chan struct{}
	restored      map[Object][]stored // from a snapshot: triggers that KEDA has not asked about since
	restoredCount int
}

func newObjects() objects {
	refused, err := lru.New[Object, Refusal](maxRefused)
	if err != nil {
		panic(err) // the size is not positive
	}
	return objects{
		refused:  refused,
		triggers: map[Object][]*state{}, watchers: map[Object][]chan struct{}{}, restored: map[Object][]stored{},
	}
}

// store makes the state of a trigger that is new; known tells that somebody was
// faster.
func (s *Server) store(key triggerKey, t *trigger, plan *query.Plan) (st *state, known bool) {
	o := &s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	st = &state{key: key, plan: plan, metric: metricName(plan), first: s.opts.Queries.Steady()}
	st.trigger.Store(t)
	of := o.restored[key.Object]
	for i := range of {
		if of[i].triggerKey == key {
			st.restore(&of[i]) // nobody else knows the state yet
		}
	}
	if prev, ok, _ := s.triggers.PeekOrAdd(key, st); ok { // which may call evictedLocked
		return prev, true
	}
	left := slices.DeleteFunc(of, func(t stored) bool { return t.triggerKey == key })
	o.restoredCount -= len(of) - len(left)
	if o.restored[key.Object] = left; len(left) == 0 {
		delete(o.restored, key.Object)
	}
	o.triggers[key.Object] = append(o.triggers[key.Object], st)
	o.tellLocked(key.Object)
	return st, false
}

// wasActive tells whether the ScaledObject of a trigger was active under another
// query, about which KEDA has not asked since: the query was edited. shift is what
// the clock was set by.
func (o *objects) wasActive(st *state, shift int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, other := range o.triggers[st.key.Object] {
		if other != st && other.shown.Load() && other.askedAt().UnixMilli()-shift < st.first {
			return true
		}
	}
	return slices.ContainsFunc(o.restored[st.key.Object], func(t stored) bool { return t.Active })
}

// evictedLocked is called when the cache lets a trigger go.
func (o *objects) evictedLocked(key triggerKey, st *state) {
	left := slices.DeleteFunc(o.triggers[key.Object], func(other *state) bool { return other == st })
	if o.triggers[key.Object] = left; len(left) == 0 {
		delete(o.triggers, key.Object)
	}
	o.listed.drop(st)
	o.tellLocked(key.Object)
}

// of returns an object's triggers, the one that was asked about last first.
func (o *objects) of(object Object) []*state {
	o.mu.Lock()
	states := slices.Clone(o.triggers[object])
	o.mu.Unlock()
	slices.SortStableFunc(states, func(a, b *state) int { return b.askedAt().Compare(a.askedAt()) })
	return states
}

// all returns the objects, sorted.
func (o *objects) all() []Object {
	o.mu.Lock()
	all := make([]Object, 0, len(o.triggers))
	for object := range o.triggers {
		all = append(all, object)
	}
	o.mu.Unlock()
	all = append(all, o.refused.Keys()...)
	slices.SortFunc(all, Object.Compare)
	return slices.Compact(all)
}

// watch returns a channel that is ready after changes of an object's triggers.
func (o *objects) watch(object Object) chan struct{} {
	changed := make(chan struct{}, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watchers[object] = append(o.watchers[object], changed)
	return changed
}

func (o *objects) unwatch(object Object, changed chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	left := slices.DeleteFunc(o.watchers[object], func(other chan struct{}) bool { return other == changed })
	if o.watchers[object] = left; len(left) == 0 {
		delete(o.watchers, object)
	}
}

// changed tells those who watch the object.
func (o *objects) changed(object Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tellLocked(object)
}

func (o *objects) tellLocked(object Object) {
	for _, changed := range o.watchers[object] {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}
