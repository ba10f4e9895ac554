package otlpreceiver

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxReasons is how many distinct reasons the sender is told.
	maxReasons = 5
	// maxText bounds what a message quotes of a request: names may be megabytes.
	maxText = 200
)

// kind is the OTLP type of a data point.
type kind uint8

const (
	gauge kind = iota
	sum
	explicitHistogram
	exponentialHistogram
	summary
	kinds
)

var kindNames = [kinds]string{"gauge", "sum", "histogram", "exponential_histogram", "summary"}

// String returns the kind as /metrics names it.
func (k kind) String() string { return kindNames[k] }

// result is what became of one request's data points.
type result struct {
	accepted, rejected [kinds]int64
	reasons            [len(reasons)]int64 // rejected
	dropped            [dropReasons]int64  // attributes

	notes []note          // the first distinct ones
	seen  map[noteKey]int // place in notes, or -1
}

type note struct {
	metric, reason string
	points         int64
}

// noteKey is what makes a note distinct. The figures of a reason that has a name
// differ from point to point; a text tells the others apart.
type noteKey struct {
	metric string
	reason reason
	text   string
}

// point counts one data point: rejected if err is not nil.
func (r *result) point(k kind, metric string, err error) {
	if err != nil {
		r.reject(k, metric, 1, err)
		return
	}
	r.accepted[k]++
}

// reject counts n data points of a metric as not stored.
func (r *result) reject(k kind, metric string, n int64, err error) {
	if n == 0 {
		return
	}
	why := reasonFor(err)
	r.rejected[k] += n
	r.reasons[why] += n
	r.note(metric, why, err, n)
}

// warn tells the sender of something that cost no data point.
func (r *result) warn(metric string, err error) { r.note(metric, reasonFor(err), err, 0) }

// drop counts the attributes that are not stored of a point or, if metric is
// empty, of a resource, and tells the sender of the first.
func (r *result) drop(metric string, d *dropped) {
	if d.first == nil {
		return
	}
	for i, n := range d.count {
		r.dropped[i] += n
	}
	r.warn(metric, d.first)
}

func (r *result) note(metric string, why reason, err error, points int64) {
	key := noteKey{metric: metric, reason: why}
	if why == invalid {
		key.text = err.Error()
	}
	i, ok := r.seen[key]
	switch {
	case ok && i >= 0:
		r.notes[i].points += points
	case ok:
	case len(r.notes) < maxReasons:
		r.mark(key, len(r.notes))
		r.notes = append(r.notes, note{metric, err.Error(), points})
	default:
		r.mark(key, -1)
	}
}

func (r *result) mark(key noteKey, i int) {
	if r.seen == nil {
		r.seen = map[noteKey]int{}
	}
	r.seen[key] = i
}

func (r *result) droppedAttributes() (n int64) {
	for _, k := range r.dropped {
		n += k
	}
	return n
}

func (r *result) rejectedPoints() (n int64) {
	for _, k := range r.rejected {
		n += k
	}
	return n
}

// message is for the person at the sender's end; empty if all is well.
func (r *result) message() string {
	if len(r.notes) == 0 {
		return "" // before b, which is on the heap
	}
	var b strings.Builder
	for i, n := range r.notes {
		if i > 0 {
			b.WriteString("; ")
		}
		if n.metric != "" {
			fmt.Fprintf(&b, "metric %q: ", clip(n.metric))
		}
		b.WriteString(clip(n.reason))
		if n.points > 0 {
			fmt.Fprintf(&b, " (data points rejected: %d)", n.points)
		}
	}
	if more := len(r.seen) - len(r.notes); more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// clip shortens text of a request to what a message may quote. The result is
// valid UTF-8: a response that is not can't be decoded by its receiver.
func clip(s string) string {
	if len(s) > maxText {
		cut := maxText
		for cut > maxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	return validText(s)
}
