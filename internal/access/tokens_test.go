package access

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestTokenFiles(t *testing.T) {
	const wish = "want a token of at least 16 letters, digits and -._~+/, such as `head -c 32 /dev/urandom | base64` makes"
	for name, tc := range map[string]struct {
		text, first, err string
	}{
		"one":                    {text: "0123456789abcdef", first: "0123456789abcdef"},
		"comments, lines, CRLF":  {text: "# grafana\r\n\r\n  abcDEF-._~+/1234==\r\nabcdefghijklmnopqrst\n", first: "abcDEF-._~+/1234=="},
		"none":                   {text: "# nothing\n", err: "has no token"},
		"nothing at all":         {text: "\n", err: "is empty"},
		"a short one":            {text: "0123456789abcdef\nsecret\n", err: "line 2: " + wish},
		"one with a space":       {text: "my secret and long pass phrase", err: "line 1: " + wish},
		"a header":               {text: "Bearer 0123456789abcdef", err: "line 1: " + wish},
		"more than are compared": {text: strings.Repeat("0123456789abcdef\n", maxTokens+1), err: "has more than 1000 tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			path := tokenFile(t, tc.text)
			tokens, err := NewTokens(TokensOptions{File: path})
			first, firstErr := FirstToken(path)
			if tc.err != "" {
				require.ErrorContains(t, err, path)
				require.ErrorContains(t, err, tc.err)
				require.NotContains(t, err.Error(), "secret")
				require.Error(t, firstErr)
				return
			}
			require.NoError(t, err)
			require.NoError(t, firstErr)
			require.Equal(t, tc.first, first)
			require.True(t, tokens.known([]string{"Bearer " + first}))
		})
	}
	_, err := FirstToken("/nowhere")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOneAuthorizationCounts(t *testing.T) {
	b := newBench()
	tokens, err := NewTokens(TokensOptions{Files: b.Files, Listener: "x", File: tokenFile(t, "0123456789abcdef")})
	require.NoError(t, err)
	for _, authorization := range [][]string{nil, {"Bearer 0123456789abcdef", "Bearer 0123456789abcdef"}, {"Bearer 0123456789abcdeg", "Bearer 0123456789abcdef"}} {
		require.False(t, tokens.known(authorization))
	}
	require.True(t, tokens.known([]string{"bearer   0123456789abcdef"}))
	require.Equal(t, 3.0, b.metric(t, "keda_otel_scaler_token_refusals_total", ""))
	b.lint(t)
	known := []string{"Bearer 0123456789abcdef"}
	require.Zero(t, testing.AllocsPerRun(100, func() { tokens.known(known) }), "a pushed point takes none")
}

// unread is a body that fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyNotAllowed
}

func TestGuardReadsNothingOfWhatItRefuses(t *testing.T) {
	tokens, err := NewTokens(TokensOptions{File: tokenFile(t, "0123456789abcdef")})
	require.NoError(t, err)
	guarded := tokens.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it got through") }), nil)
	response := httptest.NewRecorder()
	guarded.ServeHTTP(response, httptest.NewRequest(http.MethodPost, "/", unread{t}))
	require.Equal(t, http.StatusUnauthorized, response.Code)
}
