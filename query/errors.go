package query

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrBadQuery is wrapped by every error of Compile.
	ErrBadQuery = errors.New("bad query")
	// ErrNotOneNumber is wrapped when a result is not exactly one finite number.
	ErrNotOneNumber = errors.New("the result is not one finite number")
	// ErrSeveral is wrapped besides when a result has several elements.
	ErrSeveral = errors.New("the result has several elements")
	// ErrEvaluation is wrapped when the PromQL engine gives up: a timeout, too
	// many samples, series that can't be joined.
	ErrEvaluation = errors.New("evaluation failed")
	// ErrWindow is wrapped when a query reads samples from longer ago than any are
	// stored.
	ErrWindow = errors.New("the query reads samples from longer ago than they are stored")
	// ErrTooOld is wrapped where the store rejects samples as too old.
	ErrTooOld = errors.New("samples are too old")
	// errBusy is why an evaluation did not begin.
	errBusy = errors.New("other queries that only the PromQL engine can evaluate took all the time there is")
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

// Unwrap returns the parser's error.
func (e *SyntaxError) Unwrap() error { return e.Err }
