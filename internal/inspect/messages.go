package inspect

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

func count[N int | int64 | uint64](n N) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // bounded

func summary(s scaler.View) *inspectv1.ScaledObjectSummary {
	out := &inspectv1.ScaledObjectSummary{Namespace: s.Namespace, Name: s.Name, Refusal: refusal(s.Refusal)}
	for _, t := range s.Triggers {
		out.Triggers = append(out.Triggers, &inspectv1.TriggerSummary{
			Query: t.Metadata.Query, Target: t.Metadata.Target, Told: told(t.Told), AskedAt: timestamppb.New(t.AskedAt),
		})
	}
	return out
}

func view(v scaler.View) *inspectv1.ScaledObject {
	out := &inspectv1.ScaledObject{
		Namespace: v.Namespace, Name: v.Name, Refusal: refusal(v.Refusal),
		TriggersTotal: count(v.Total), At: timestamppb.New(v.At),
	}
	for i := range v.Triggers {
		out.Triggers = append(out.Triggers, trigger(&v.Triggers[i], v.At))
	}
	return out
}

func trigger(e *scaler.Trigger, at time.Time) *inspectv1.Trigger {
	out := &inspectv1.Trigger{
		Metadata:  metadata(&e.Metadata),
		Evaluated: e.Evaluated,
		Verdict:   verdict(e),
		Now:       answer(&e.Now),
		Told:      told(e.Told),
		Streams:   count(e.Streams),
		Unread:    e.Metadata.Unread,
	}
	if e.Explanation != nil {
		out.SelectorsTotal = count(e.Explanation.Total)
		for i := range e.Explanation.Selectors {
			out.Selectors = append(out.Selectors, selector(&e.Explanation.Selectors[i], at))
		}
	}
	for _, a := range e.Asked {
		out.Asked = append(out.Asked, &inspectv1.Asked{Rpc: a.RPC, Last: timestamppb.New(a.Last), Count: count(a.Count)})
	}
	for _, p := range e.Peers {
		out.Peers = append(out.Peers, &inspectv1.Peer{Address: p.Address.String(), Count: count(p.Count), Last: timestamppb.New(p.Last), LastRpc: p.RPC})
	}
	for i := range e.Transitions {
		t := &e.Transitions[i]
		one := &inspectv1.Transition{At: timestamppb.New(t.At), Before: t.Before, Cause: t.Cause, Active: t.Active, Error: t.Error}
		if t.Error == "" {
			one.Value = &t.Value
		}
		out.Transitions = append(out.Transitions, one)
	}
	for _, f := range e.Failures {
		out.Errors = append(out.Errors, &inspectv1.Error{
			First: timestamppb.New(f.First), Last: timestamppb.New(f.Last), Count: count(f.Count), Text: f.Text,
		})
	}
	return out
}

func metadata(m *scaler.Metadata) *inspectv1.Metadata {
	out := &inspectv1.Metadata{
		MetricQuery: m.Query, OperationOverTime: string(m.Over), TargetValue: m.Target, ActivationTargetValue: m.Activation,
		ClampMin: m.ClampMin, ClampMax: m.ClampMax, OnMissing: m.Missing.Policy.String(),
	}
	if m.Missing.Policy == scaler.Value {
		out.ValueIfNotFound = &m.Missing.Value
	}
	return out
}

func told(a *scaler.Answer) *inspectv1.Answer {
	if a == nil {
		return nil
	}
	return answer(a)
}

func answer(a *scaler.Answer) *inspectv1.Answer {
	out := &inspectv1.Answer{At: timestamppb.New(a.At), Cause: a.Cause, Active: a.Active, Error: a.Error, Warning: a.Warning, Current: a.Current}
	if a.Error == "" {
		desired := count(a.Desired)
		out.Value, out.Reported, out.DesiredReplicas = &a.Value, &a.Reported, &desired
	}
	return out
}

func refusal(r *scaler.Refusal) *inspectv1.Refusal {
	if r == nil {
		return nil
	}
	return &inspectv1.Refusal{At: timestamppb.New(r.At), Error: r.Text}
}

func stateOf(s *query.Series) inspectv1.SeriesState {
	switch {
	case s.Ended:
		return inspectv1.SeriesState_SERIES_STATE_ENDED
	case s.Late:
		return inspectv1.SeriesState_SERIES_STATE_LATE
	}
	return inspectv1.SeriesState_SERIES_STATE_LIVE
}

func selector(s *query.Selection, at time.Time) *inspectv1.Selector {
	out := &inspectv1.Selector{Text: s.Selector, Live: count(s.Live), Ended: count(s.Ended), Late: count(s.Late)}
	for i := range s.Series {
		ser := &s.Series[i]
		one := &inspectv1.Series{
			Labels: ser.Labels.Map(), State: stateOf(ser), Histogram: ser.Histogram, Age: durationpb.New(at.Sub(ser.At)),
		}
		if !ser.Histogram {
			one.Value = &ser.Value
		}
		out.Series = append(out.Series, one)
	}
	for i := range s.Misses {
		m := &s.Misses[i]
		out.Misses = append(out.Misses, &inspectv1.Miss{
			Matcher: m.Matcher.String(), Others: count(m.Others), Near: m.Near, LabelNames: m.Names, Advice: m.String(),
		})
	}
	return out
}
