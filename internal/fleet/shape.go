package fleet

// Shape is a query whose bounds are known, and how to compute it from what the
// senders pushed.
type Shape struct {
	Query string
	// of returns what a sender with a share adds: to the sum or the maximum, or to
	// the two sums of a quotient; false if the query reads nothing of it.
	of   func(s *Sender, share float64) (num, den float64, ok bool)
	kind kind
}

type kind int

// The kinds of shapes differ in their bounds; see Model.Bounds.
const (
	sum        kind = iota // monotone
	maximum                // monotone
	quotient               // any other: a quotient of sums, avg among them
	difference             // any other: a sum of what may be negative
	rate                   // monotone, over a window
)

// Window is that of the shape with a rate, in seconds.
const Window = 60.0

// Shapes are all of them.
var Shapes = []Shape{
	{"sum(x)", pods(func(_ *Sender, v float64) (float64, float64) { return v, 0 }), sum},
	{"max(x)", pods(func(_ *Sender, v float64) (float64, float64) { return v, 0 }), maximum},
	{"count(x)", pods(func(*Sender, float64) (float64, float64) { return 1, 0 }), sum},
	{"avg(x)", pods(func(_ *Sender, v float64) (float64, float64) { return v, 1 }), quotient},
	{"sum(a) + sum(b)", pods(func(s *Sender, v float64) (float64, float64) { return s.A(v) + s.B(v), 0 }), sum},
	{"sum(queue) + (sum(running) or vector(0))", func(_ *Sender, v float64) (float64, float64, bool) { return v, 0, true }, sum},
	{"sum(used) / sum(capacity)", pods(func(s *Sender, v float64) (float64, float64) { return v, s.Capacity }), quotient},
	{"sum(1 - free)", pods(func(s *Sender, v float64) (float64, float64) { return 1 - s.Free(v), 0 }), difference},
	{"sum(rate(y[1m]))", pods(func(_ *Sender, v float64) (float64, float64) { return v, 0 }), rate},
}

func pods(of func(*Sender, float64) (float64, float64)) func(*Sender, float64) (float64, float64, bool) {
	return func(s *Sender, share float64) (num, den float64, ok bool) {
		if s.Gateway {
			return 0, 0, false
		}
		num, den = of(s, share)
		return num, den, true
	}
}

// reads reports whether the query reads anything of a sender.
func (s *Shape) reads(from *Sender) bool {
	_, _, ok := s.of(from, 0)
	return ok
}

// A is the value of the metric a of a pod with a share of the load.
func (s *Sender) A(share float64) float64 { return 0.6 * share }

// B is that of b, 0 for a version of the pod that does not push it.
func (s *Sender) B(share float64) float64 {
	if s.NoB {
		return 0
	}
	return 0.4 * share
}

// Free is that of free, 0 for a full pod.
func (s *Sender) Free(share float64) float64 { return 1 - min(1, share/s.Capacity) }

// result combines what senders add.
type result struct {
	kind     kind
	num, den float64
}

func (r *result) add(num, den float64) {
	if r.kind == maximum {
		r.num = max(r.num, num)
		return
	}
	r.num += num
	r.den += den
}

// value is 0 for nothing.
func (r *result) value() float64 {
	if r.kind == quotient {
		if r.den == 0 {
			return 0
		}
		return r.num / r.den
	}
	return r.num
}
