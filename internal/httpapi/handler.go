package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// request is what an endpoint gets.
type request struct {
	*http.Request
	ctx       context.Context   // ends with the client, the timeout, or the API
	form      url.Values        // the parameters of the URL and, before them, of the body
	sum       bool              // a bare selector means its sum
	namespace string            // whose series alone it sees; empty is all
	queryable storage.Queryable // what it sees
}

// answer is what an endpoint returns.
type answer struct {
	data     func(*output) // writes the data
	warnings annotations.Annotations
	query    string // the warnings' positions are in it
	close    func() // if set, called after data
}

// handler is an endpoint with everything around it.
func (a *API) handler(e endpoint, sum bool) http.Handler {
	return a.guard(e.path, func(out *output, r *http.Request) {
		a.allowOrigin(out.w, r)
		switch {
		case r.Method == http.MethodGet, r.Method == http.MethodPost && e.post:
		case r.Method == http.MethodOptions:
			out.empty(http.StatusNoContent)
			return
		default:
			methods := http.MethodGet
			if e.post {
				methods += ", " + http.MethodPost
			}
			out.w.Header().Set("Allow", methods)
			out.fail(&apiError{badMethod, errors.New("method " + r.Method + " is not allowed; use " + methods)})
			return
		}
		result, err := a.evaluate(e, out.w, r, sum)
		if result.close != nil {
			defer result.close()
		}
		if err != nil {
			out.fail(a.blame(err))
			return
		}
		out.succeed(result)
	})
}

// evaluate reads the parameters, waits for a turn and runs the endpoint.
func (a *API) evaluate(e endpoint, w http.ResponseWriter, r *http.Request, sum bool) (answer, error) {
	r.Body = http.MaxBytesReader(w, r.Body, a.opts.MaxBody)
	if err := r.ParseForm(); err != nil {
		return answer{}, badf("error parsing form values: %w", err)
	}
	namespace, err := a.namespace(r)
	if err != nil {
		return answer{}, err
	}
	timeout, err := timeoutOf(r.Form.Get("timeout"), a.opts.Timeout)
	if err != nil {
		return answer{}, err
	}
	// The answer is written after the turn: a slow reader takes nobody's.
	var result answer
	err = a.withinLimit(r, timeout, a.queries, func(ctx context.Context) (err error) {
		result, err = e.answer(&request{Request: r, ctx: ctx, form: r.Form, sum: sum, namespace: namespace, queryable: a.within(namespace)})
		return err
	})
	return result, err
}

// namespace is the one that a request sees the series of; empty if all.
func (a *API) namespace(r *http.Request) (string, error) {
	if a.opts.Within == nil || !strings.HasPrefix(r.URL.Path, kedaPrefix+"/") {
		return "", nil
	}
	named := r.Form["namespace"]
	if len(named) != 1 || named[0] == "" {
		return "", badParameter("namespace", errors.New("requests under "+kedaPrefix+" see the series of one namespace only: name it once, in a prometheus trigger by the metadata namespace"))
	}
	return named[0], nil
}

func (a *API) within(namespace string) storage.Queryable {
	if namespace == "" {
		return a.opts.Queryable
	}
	return a.opts.Within(namespace)
}

// withinLimit waits for the limiter and calls f, under a context that ends with the
// client, the timeout or the API.
func (a *API) withinLimit(r *http.Request, timeout time.Duration, limited *limiter, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	defer context.AfterFunc(a.stopping, cancel)()
	if err := limited.enter(ctx); err != nil {
		return err
	}
	defer limited.Release()
	return f(ctx)
}

// blame tells a client whose request we cancelled that it was not the client.
func (a *API) blame(err error) *apiError {
	c := classify(err)
	if c.kind == canceled && a.stopping.Err() != nil {
		return errStopping
	}
	return c
}

// guard counts requests, joins them with Stop, and keeps a panic in one of them
// from reaching the others.
func (a *API) guard(name string, serve func(*output, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &output{w: w, zips: acceptsGzip(r.Header)}
		defer func() { a.metrics.requests.WithLabelValues(name, strconv.Itoa(out.code)).Inc() }()
		if !a.active.TryRLock() {
			out.fail(errStopping)
			return
		}
		defer a.active.RUnlock()
		defer a.recovered(out, r)
		serve(out, r)
	})
}

func (a *API) recovered(out *output, r *http.Request) {
	reason := recover()
	switch reason {
	case nil:
		return
	case http.ErrAbortHandler: // no fault, but the way to break off an answer
		panic(reason)
	}
	a.metrics.panics.Inc()
	a.opts.Logger.Error("a request panicked", "path", r.URL.Path, "panic", reason, "stack", string(debug.Stack()))
	if out.started {
		panic(http.ErrAbortHandler) // so that half an answer does not look whole
	}
	out.buf = out.buf[:0]
	out.fail(&apiError{internal, errors.New("internal error; the server's log has the stack")})
}

// allowOrigin lets scripts of other sites read the answer.
func (a *API) allowOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	allowed := a.opts.CORSOrigin
	if origin == "" || allowed == nil || !allowed.MatchString(origin) {
		return
	}
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin")
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Expose-Headers", "Date")
	h.Set("Access-Control-Allow-Origin", origin)
}

// acceptsGzip tells whether the client takes gzip, which "gzip;q=0" says it
// does not.
func acceptsGzip(h http.Header) bool {
	for _, field := range h.Values("Accept-Encoding") {
		for clause := range strings.SplitSeq(field, ",") {
			coding, quality, _ := strings.Cut(clause, ";")
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				_, q, _ := strings.Cut(quality, "=")
				weight, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
				return err != nil || weight > 0
			}
		}
	}
	return false
}
