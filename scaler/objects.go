package scaler

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// maxRefused bounds the ScaledObjects of which the last refusal is stored.
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

// objects finds the stored triggers by their ScaledObjects.
type objects struct {
	refused  *lru.Cache[Object, Refusal]
	watchers watchers[Object] // of changes of an object's triggers

	mu            sync.Mutex // guards what follows; locked while a trigger is added, before the cache's own
	triggers      map[Object][]*state
	restored      map[Object][]stored // from a snapshot: triggers that KEDA has not asked about since
	restoredCount int
}

func newObjects() objects {
	return objects{
		refused:  newCache[Object, Refusal](maxRefused, nil),
		watchers: newWatchers[Object](),
		triggers: map[Object][]*state{},
		restored: map[Object][]stored{},
	}
}

// newCache returns a cache of so many entries, which calls evicted for one that goes.
func newCache[K comparable, V any](most int, evicted func(K, V)) *lru.Cache[K, V] {
	c, err := lru.NewWithEvict(most, evicted)
	if err != nil {
		panic(err) // the size is not positive
	}
	return c
}

// store makes the state of a trigger that is new; known reports that another call was
// faster.
func (s *Server) store(key triggerKey, t *Metadata, plan *query.Plan) (st *state, known bool) {
	o := &s.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	st = s.newState(key, t, plan)
	of := o.restored[key.Object]
	for i := range of {
		if of[i].triggerKey == key {
			st.restore(&of[i]) // no other caller has the state yet
		}
	}
	if prev, ok, _ := s.triggers.PeekOrAdd(key, st); ok { // which may call evictedLocked
		return prev, true
	}
	remove(o.restored, key.Object, func(t stored) bool { return t.triggerKey == key })
	o.triggers[key.Object] = append(o.triggers[key.Object], st)
	o.watchers.notify(key.Object)
	return st, false
}

// wasActive reports whether the ScaledObject of a trigger was active under another
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

// newState returns the state of a trigger that has had no decision.
func (s *Server) newState(key triggerKey, t *Metadata, plan *query.Plan) *state {
	st := &state{key: key, plan: plan, metric: metricName(plan), first: s.opts.Queries.Steady()}
	st.trigger.Store(t)
	return st
}

// evictedLocked is called when the cache lets a trigger go.
func (o *objects) evictedLocked(key triggerKey, st *state) {
	remove(o.triggers, key.Object, func(other *state) bool { return other == st })
	st.evicted.Store(true)
	o.watchers.notify(key.Object)
}

// remove removes from the list that has a key, and an empty list from the map.
func remove[K comparable, V any](lists map[K][]V, key K, gone func(V) bool) {
	if lists[key] = slices.DeleteFunc(lists[key], gone); len(lists[key]) == 0 {
		delete(lists, key)
	}
}

// of returns an object's triggers, the one that was asked about last first.
func (o *objects) of(object Object) []*state {
	o.mu.Lock()
	states := slices.Clone(o.triggers[object])
	o.mu.Unlock()
	slices.SortStableFunc(states, func(a, b *state) int { return b.askedAt().Compare(a.askedAt()) })
	return states
}

// Objects returns the ScaledObjects that KEDA has asked about, in order.
func (s *Server) Objects() []Object {
	o := &s.objects
	o.mu.Lock()
	all := slices.AppendSeq(o.refused.Keys(), maps.Keys(o.triggers))
	o.mu.Unlock()
	slices.SortFunc(all, Object.Compare)
	return slices.Compact(all)
}
