package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

const (
	// leastToken is the least length of a token: a word can be guessed.
	leastToken = 16
	// maxTokens bounds what a request is compared with.
	maxTokens = 1000
)

// tokenSyntax is RFC 6750's.
var tokenSyntax = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// errUnauthenticated tells a gRPC client what to send.
var errUnauthenticated = status.Error(codes.Unauthenticated, Unauthenticated)

// Unauthenticated is said to whoever shows no token.
const Unauthenticated = "want the metadata, or header, authorization: Bearer <token>, with a token that is known here"

// TokensOptions say where tokens are. File is required.
type TokensOptions struct {
	Files
	Listener string // label of the metrics, and who is meant in the log
	File     string // one token a line; empty lines and such that begin with # are passed over
}

// Tokens are the bearer tokens of a file, as it last could be used. Its methods
// may be called concurrently.
type Tokens struct {
	files   *watched[[][sha256.Size]byte] // hashes: of one length, and useless to whoever sees them
	refused prometheus.Counter
}

// NewTokens reads the file, and fails if nobody could be let in.
func NewTokens(o TokensOptions) (*Tokens, error) {
	t := &Tokens{refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name:        "keda_otel_scaler_token_refusals_total",
		Help:        "Requests without a token that is known.",
		ConstLabels: prometheus.Labels{"listener": o.Listener},
	})}
	var err error
	t.files, err = newWatched(o.Files, "token", o.Listener, "the token file of "+o.Listener, []string{o.File}, func(contents [][]byte, _ time.Time) ([][sha256.Size]byte, error) {
		tokens, err := parseTokens(o.File, contents[0])
		hashes := make([][sha256.Size]byte, len(tokens))
		for i, token := range tokens {
			hashes[i] = sha256.Sum256([]byte(token))
		}
		return hashes, err
	})
	if err != nil {
		return nil, err
	}
	return t, register(o.Registerer, t.refused)
}

// FirstToken is what a client shows that has a server's file of tokens, or one
// with nothing but its own.
func FirstToken(path string) (string, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return "", err
	}
	tokens, err := parseTokens(path, content)
	if err != nil {
		return "", err
	}
	return tokens[0], nil
}

// parseTokens returns at least one. Its errors never show what is in the file.
func parseTokens(path string, content []byte) ([]string, error) {
	var tokens []string
	for i, line := range bytes.Split(content, []byte("\n")) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#':
			continue
		case len(line) < leastToken || !tokenSyntax.Match(line):
			return nil, fmt.Errorf("%s: line %d: want a token of at least %d letters, digits and -._~+/, such as `head -c 32 /dev/urandom | base64` makes", path, i+1, leastToken)
		case len(tokens) == maxTokens:
			return nil, fmt.Errorf("%s has more than %d tokens", path, maxTokens)
		}
		tokens = append(tokens, string(line))
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("%s has no token", path)
	}
	return tokens, nil
}

// Problem says in a sentence what is wrong with the file, or nothing.
func (t *Tokens) Problem() string { return t.files.problem() }

// Run looks at the file once an interval, until ctx is done.
func (t *Tokens) Run(ctx context.Context) error { return t.files.run(ctx, t.files.check) }

// Check looks at the file now.
func (t *Tokens) Check() { _ = t.files.check() } // Run looks again by itself

// known tells whether a request may come in, by all of its authorization. How
// long it takes tells nothing of the tokens.
func (t *Tokens) known(authorization []string) bool {
	if len(authorization) == 1 {
		scheme, token, _ := strings.Cut(authorization[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			shown := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
			tokens, found := *t.files.current.Load(), 0
			for i := range tokens {
				found |= subtle.ConstantTimeCompare(tokens[i][:], shown[:])
			}
			if found == 1 {
				return true
			}
		}
	}
	t.refused.Inc()
	return false
}

// Tap refuses a gRPC call by its headers, before anything of its message is
// read: an interceptor would come after.
func (t *Tokens) Tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !t.known(info.Header["authorization"]) {
		return nil, errUnauthenticated
	}
	return ctx, nil
}

// Guard lets requests with a token through to next. To others it says how to
// come in, and leaves the rest of the answer to refusal, or to a line of text if
// that is nil. A browser asks whether it may ask without a token; nothing is
// done for it.
func (t *Tokens) Guard(next, refusal http.Handler) http.Handler {
	if refusal == nil {
		refusal = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, Unauthenticated, http.StatusUnauthorized)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions && !t.known(r.Header.Values("Authorization")) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="keda-otel-scaler"`)
			refusal.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
