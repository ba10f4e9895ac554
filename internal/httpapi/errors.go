package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/promql"
)

// kind is an error type as the API's clients know it.
type kind struct {
	name string
	code int
}

var (
	badData     = kind{"bad_data", http.StatusBadRequest}
	execution   = kind{"execution", http.StatusUnprocessableEntity}
	timedOut    = kind{"timeout", http.StatusServiceUnavailable}
	canceled    = kind{"canceled", 499} // nginx' code: the client went away
	internal    = kind{"internal", http.StatusInternalServerError}
	notFound    = kind{"not_found", http.StatusNotFound}
	unavailable = kind{"unavailable", http.StatusServiceUnavailable}
	badMethod   = kind{"bad_data", http.StatusMethodNotAllowed}
)

// apiError is an error with the type and the code it is answered with.
type apiError struct {
	kind
	err error
}

func (e *apiError) Error() string { return e.name + ": " + e.err.Error() }
func (e *apiError) Unwrap() error { return e.err }

func badf(format string, args ...any) error {
	return &apiError{badData, fmt.Errorf(format, args...)}
}

// badParameter blames a parameter in Prometheus' words.
func badParameter(name string, err error) error {
	return badf("invalid parameter %q: %w", name, err)
}

var errStopping = &apiError{unavailable, errors.New("the server is shutting down")}

// classify finds the type of an error that has none yet.
func classify(err error) *apiError {
	var (
		typed   *apiError
		timeout promql.ErrQueryTimeout
		gone    promql.ErrQueryCanceled
		storage promql.ErrStorage
	)
	switch {
	case errors.As(err, &typed):
		return typed
	case errors.As(err, &gone), errors.Is(err, context.Canceled):
		return &apiError{canceled, err}
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		return &apiError{timedOut, err}
	case errors.As(err, &storage):
		return &apiError{internal, err}
	}
	return &apiError{execution, err}
}

// ofConstruction is the error for a query that could not even be built.
func ofConstruction(err error) error {
	if c := classify(err); c.kind != execution {
		return c
	}
	return badParameter("query", err)
}

// ErrNoDecision is wrapped by the errors of Options.Decide about queries whose result
// is not one number.
var ErrNoDecision = errors.New("no scaling decision")

// BadQuery marks an error of Options.Decide as a fault of the query.
func BadQuery(err error) error { return badParameter("query", err) }
