package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

// page writes lines of aligned columns. Whether the reader takes them is not its
// concern.
type page struct{ *tabwriter.Writer }

func newPage(w io.Writer) page { return page{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (p page) line(cells ...string) { _, _ = fmt.Fprintln(p, strings.Join(cells, "\t")) }

// end aligns what was written so far by itself.
func (p page) end() { _ = p.Flush() }

func writeList(w io.Writer, list *inspectv1.ListScaledObjectsResponse) {
	if len(list.GetScaledObjects()) == 0 {
		_, _ = fmt.Fprintln(w, "KEDA has not asked about any ScaledObject since the server started")
		return
	}
	p := newPage(w)
	defer p.end()
	p.line("SCALEDOBJECT", "VALUE", "TARGET", "REPLICAS", "STATE", "CAUSE", "ASKED")
	for _, o := range list.GetScaledObjects() {
		name := o.GetNamespace() + "/" + o.GetName()
		if r := o.GetRefusal(); r != nil {
			p.line(name, "-", "-", "-", "refused", "bad metadata", ago(list.GetAt(), r.GetAt()))
		}
		for _, t := range o.GetTriggers() {
			a := t.GetTold()
			value, replicas, state := "-", "-", "holding"
			switch {
			case a == nil:
				state = "not asked yet"
			case a.Value != nil:
				value, replicas, state = number(a.GetReported()), strconv.Itoa(int(a.GetDesiredReplicas())), activity(a.GetActive())
			}
			p.line(name, value, number(t.GetTarget()), replicas, state, cmp.Or(a.GetCause(), "-"), ago(list.GetAt(), t.GetAskedAt()))
		}
	}
	if list.GetNextPageToken() != "" {
		p.line(fmt.Sprintf("... and %d more", int(list.GetTotal())-len(list.GetScaledObjects())))
	}
}

func writeObject(w io.Writer, o *inspectv1.ScaledObject) {
	p := newPage(w)
	defer p.end()
	p.line(o.GetNamespace() + "/" + o.GetName())
	if r := o.GetRefusal(); r != nil {
		p.line("refused: " + r.GetError())
		p.line("KEDA received this error " + ago(o.GetAt(), r.GetAt()) + "; what follows is from before")
	}
	for i, t := range o.GetTriggers() {
		if i > 0 {
			p.line()
			p.line(fmt.Sprintf("trigger %d of %d, which KEDA asked about before", i+1, o.GetTriggersTotal()))
		}
		p.line(t.GetVerdict())
		for _, s := range t.GetSelectors() {
			for _, m := range s.GetMisses() {
				p.line(m.GetAdvice())
			}
		}
		p.end()
		writeTrigger(p, o, t)
	}
}

func writeTrigger(p page, o *inspectv1.ScaledObject, t *inspectv1.Trigger) {
	m := t.GetMetadata()
	p.line()
	p.line("  query", oneLine(m.GetMetricQuery()))
	if over := m.GetOperationOverTime(); over != "last_one" {
		p.line("  over time", over)
	}
	if t.GetEvaluated() != oneLine(m.GetMetricQuery()) {
		p.line("  evaluated", t.GetEvaluated())
	}
	p.line("  target", fmt.Sprintf("%s a replica, active above %s", number(m.GetTargetValue()), number(m.GetActivationTargetValue())))
	if m.ClampMin != nil {
		p.line("  clampMin", number(m.GetClampMin()))
	}
	if m.ClampMax != nil {
		p.line("  clampMax", number(m.GetClampMax()))
	}
	missing := m.GetOnMissing()
	if m.ValueIfNotFound != nil {
		missing += " " + number(m.GetValueIfNotFound())
	}
	p.line("  no data", missing)
	if len(t.GetUnread()) > 0 {
		p.line("  not read", strings.Join(t.GetUnread(), ", "))
	}
	p.line("  now", answered(t.GetNow()))
	if told := t.GetTold(); told != nil {
		p.line("  decided", answered(told)+", "+ago(o.GetAt(), told.GetAt()))
	}
	if t.GetStreams() > 0 {
		p.line("  streams", fmt.Sprintf("%d open", t.GetStreams()))
	}
	p.end()
	for _, s := range t.GetSelectors() {
		writeSelector(p, s)
	}
	if left := int(t.GetSelectorsTotal()) - len(t.GetSelectors()); left > 0 {
		p.line(fmt.Sprintf("  ... and %d more selectors", left))
	}
	writeHistory(p, o.GetAt(), t)
}

func writeSelector(p page, s *inspectv1.Selector) {
	p.line()
	p.line("  " + s.GetText())
	p.line(fmt.Sprintf("  matches %d live, %d late, %d ended", s.GetLive(), s.GetLate(), s.GetEnded()))
	p.end()
	if len(s.GetSeries()) == 0 {
		return
	}
	p.line("    STATE", "VALUE", "AGE", "SERIES")
	for _, ser := range s.GetSeries() {
		value := "histogram"
		if ser.Value != nil {
			value = number(ser.GetValue())
		}
		state := strings.ToLower(strings.TrimPrefix(ser.GetState().String(), "SERIES_STATE_"))
		p.line("    "+state, value, age(ser.GetAge().AsDuration()), seriesText(ser.GetLabels()))
	}
	if left := int(s.GetLive()+s.GetLate()+s.GetEnded()) - len(s.GetSeries()); left > 0 {
		p.line(fmt.Sprintf("    ... and %d more", left))
	}
	p.end()
}

func writeHistory(p page, at *timestamppb.Timestamp, t *inspectv1.Trigger) {
	if len(t.GetAsked()) > 0 {
		p.line()
		p.line("  KEDA asked")
		for _, a := range t.GetAsked() {
			p.line("    "+a.GetRpc(), fmt.Sprintf("%d times", a.GetCount()), "last "+ago(at, a.GetLast()))
		}
		p.end()
	}
	if len(t.GetPeers()) > 0 {
		p.line()
		p.line("  asked from")
		for _, who := range t.GetPeers() {
			p.line("    "+who.GetAddress(), fmt.Sprintf("%d times", who.GetCount()), "last "+ago(at, who.GetLast()), who.GetLastRpc())
		}
		p.end()
	}
	if len(t.GetTransitions()) > 0 {
		p.line()
		p.line("  what changed")
		for _, c := range t.GetTransitions() {
			now := "holding"
			if c.Value != nil {
				now = number(c.GetValue()) + ", " + activity(c.GetActive())
			}
			p.line("    "+ago(at, c.GetAt()), cmp.Or(c.GetBefore(), "(first)")+" -> "+c.GetCause(), now)
		}
		p.end()
	}
	if len(t.GetErrors()) > 0 {
		p.line()
		p.line("  errors")
		for _, e := range t.GetErrors() {
			p.line("    "+ago(at, e.GetLast()), fmt.Sprintf("%d times", e.GetCount()), e.GetText())
		}
		p.end()
	}
}

func answered(a *inspectv1.Answer) string {
	if a.Value == nil {
		return "hold (" + a.GetCause() + ")"
	}
	text := number(a.GetValue())
	if a.GetReported() != a.GetValue() {
		text += " clamped to " + number(a.GetReported())
	}
	return fmt.Sprintf("%s (%s), %s, %d replicas before the HPA's min and max", text, a.GetCause(), activity(a.GetActive()), a.GetDesiredReplicas())
}

func activity(active bool) string {
	if active {
		return "active"
	}
	return "inactive"
}

// oneLine keeps a query that was written over several lines in its column.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func seriesText(labels map[string]string) string {
	const name = "__name__"
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if k != name {
			pairs = append(pairs, fmt.Sprintf("%s=%q", k, labels[k]))
		}
	}
	return labels[name] + "{" + strings.Join(pairs, ", ") + "}"
}

func ago(now, then *timestamppb.Timestamp) string {
	return age(now.AsTime().Sub(then.AsTime())) + " ago"
}

// age is a duration as short as one looks at it.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Hour:
		return d.Truncate(time.Second).String()
	}
	return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
}
