package query

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrBadQuery is wrapped by every error of Compile.
	ErrBadQuery = errors.New("bad query")
	// ErrNotOneNumber is wrapped when a result is not exactly one finite number.
	ErrNotOneNumber = errors.New("the result is not one finite number")
	// ErrEvaluation is wrapped when the PromQL engine gives up: a timeout, too
	// many samples, series that can't be joined.
	ErrEvaluation = errors.New("evaluation failed")
)

// SyntaxError is in the chain of an error of Compile that the parser found at
// one place: Offset bytes into Text, which is the query, or what KServe put its
// selector behind.
type SyntaxError struct {
	Text   string
	Offset int
	Err    error
}

// Error shows the place by what stands there.
func (e *SyntaxError) Error() string {
	near := e.Text[e.Offset:]
	if near == "" {
		return fmt.Sprintf("%s (at its end)", e.Err)
	}
	if len(near) > 24 {
		near = strings.ToValidUTF8(near[:24], "") + "..."
	}
	return fmt.Sprintf("%s (at character %d, before %q)", e.Err, e.Offset+1, near)
}

// Unwrap returns what the parser said.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Reason says why a result is empty.
type Reason int

// The reasons for an empty result.
const (
	// NeverSeen: a selector matches no series within the retention.
	NeverSeen Reason = iota
	// Ended: the senders of all the series said that they ended.
	Ended
	// Gone: series fell silent without a word.
	Gone
	// Filtered: the series are there, and a comparison in the query let none through.
	Filtered
	// TooFew: the series are there, but a function has too few samples yet or
	// the sides of an operator don't match.
	TooFew
	// TooOld: no series is there, but some send what is older than the retention.
	TooOld
)

var reasonNames = [...]string{"never seen", "ended", "gone", "filtered", "too few samples", "too old"}

// String names the reason in a few words.
func (r Reason) String() string { return reasonNames[r] }

// EmptyError says that a query's result is empty, and why. GoneAt, for the
// reason Gone, is the moment up to which the missing series were still there,
// those aside that were at zero; Lost is for Before.
type EmptyError struct {
	Query  string
	Reason Reason
	GoneAt time.Time
	Lost   Loss
	// Live, Ended and Gone count the series of the query's selectors.
	Live, Ended, Gone int
}

// Error implements error.
func (e *EmptyError) Error() string {
	switch e.Reason {
	case NeverSeen:
		return fmt.Sprintf("%s: no series matches", e.Query)
	case Ended:
		return fmt.Sprintf("%s: all %d series have ended", e.Query, e.Ended)
	case Gone:
		return fmt.Sprintf("%s: %d series stopped coming without saying that they ended, the last at %s",
			e.Query, e.Gone, e.GoneAt.UTC().Format(time.RFC3339))
	case TooOld:
		return fmt.Sprintf("%s: no series is live, but samples that match were refused, since they are older than the retention: "+
			"the sender's clock is late, or it catches up with its queue", e.Query)
	case Filtered:
		return fmt.Sprintf("%s: %d series are there, but a comparison in the query lets none through", e.Query, e.Live)
	default:
		return fmt.Sprintf("%s: %d series are there, but the query yields nothing from them: "+
			"a range needs at least two samples (widen it to several push intervals), and the labels on both sides of an operator must match",
			e.Query, e.Live)
	}
}
