package admission

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

func newHandler(t testing.TB, label string) http.Handler {
	t.Helper()
	queries, err := query.New(query.Options{Store: store.New(store.Options{})})
	require.NoError(t, err)
	answers, err := scaler.New(scaler.Options{Queries: queries, NamespaceLabel: label})
	require.NoError(t, err)
	return New(Options{Checker: answers, Service: "keda-otel-scaler"})
}

const address = "keda-otel-scaler.keda.svc:4318"

// md is a trigger that is right, with changes; an empty one takes a key away.
func md(kv ...string) map[string]string {
	m := map[string]string{"scalerAddress": address, "metricQuery": `sum(vllm:num_requests_running{namespace="a"})`, "targetValue": "4"}
	for i := 0; i < len(kv); i += 2 {
		if m[kv[i]] = kv[i+1]; kv[i+1] == "" {
			delete(m, kv[i])
		}
	}
	return m
}

func about(kind string, triggers ...map[string]string) *request {
	type object map[string]any
	all := []object{}
	for _, t := range triggers {
		all = append(all, object{"type": "external", "metadata": t})
	}
	raw, _ := json.Marshal(object{"spec": object{"triggers": all}})
	return &request{UID: "u", Kind: groupKind{"keda.sh", kind}, Namespace: "a", Operation: "CREATE", Object: raw}
}

func ask(t testing.TB, h http.Handler, r *request) *response {
	t.Helper()
	body, err := json.Marshal(review{APIVersion: reviewVersion, Kind: reviewKind, Request: r})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body)))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var out review
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	require.Equal(t, reviewVersion, out.APIVersion)
	require.Equal(t, r.UID, out.Response.UID)
	return out.Response
}

func TestTheCaretStandsUnderTheFault(t *testing.T) {
	out := ask(t, newHandler(t, ""), about("ScaledObject", md(), md("metricQuery", `sum(x) + +* y`)))
	require.False(t, out.Allowed)
	require.Equal(t, http.StatusUnprocessableEntity, out.Status.Code)
	require.Contains(t, out.Status.Message, "spec.triggers[1].metadata.metricQuery: bad query")
	require.Contains(t, out.Status.Message, "\n    sum(x) + +* y\n              ^")
	require.NotContains(t, out.Status.Message, "triggers[0]")

	require.Equal(t, "    äb c\n      ^", caret("one\näb c\nthree", len("one\näb")))
	require.Equal(t, "    x\n     ^", caret("x", 1))
	long := caret(strings.Repeat("x", 1000)+"!"+strings.Repeat("y", 1000), 1000)
	lines := strings.Split(long, "\n")
	require.Equal(t, byte('!'), lines[0][strings.Index(lines[1], "^")])
	require.Less(t, len(lines[0]), 2*maxLine)
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	out := ask(t, newHandler(t, ""), about("ScaledJob", md("targetValue", "some", "metricQuery", "sum(", "clampMin", "x", "onMissing", "guess"), md("targetValue", "")))
	require.False(t, out.Allowed)
	for _, want := range []string{
		`spec.triggers[0].metadata.targetValue: "some" is not a number`, "spec.triggers[0].metadata.metricQuery: ", `spec.triggers[0].metadata.clampMin: "x"`,
		`spec.triggers[0].metadata.onMissing: "guess" is none of`, "spec.triggers[1].metadata.targetValue is missing; write ",
	} {
		require.Contains(t, out.Status.Message, want)
	}
}

func TestAnotherNamespaceIsRefusedWhereItIsEnforced(t *testing.T) {
	r := about("ScaledObject", md("metricQuery", `x{namespace="b"}`))
	require.True(t, ask(t, newHandler(t, ""), r).Allowed)
	out := ask(t, newHandler(t, "namespace"), r)
	require.False(t, out.Allowed)
	require.Contains(t, out.Status.Message, `sees only series with namespace="a"`)
}

// TestOnlyWhatIsOursIsJudged: each of these has a broken query.
func TestOnlyWhatIsOursIsJudged(t *testing.T) {
	h := newHandler(t, "")
	broken := func(change func(*request), kv ...string) *request {
		r := about("ScaledObject", md(append(kv, "metricQuery", "sum(")...))
		if change != nil {
			change(r)
		}
		return r
	}
	for _, addr := range []string{"keda-otel-scaler:4318", address, "keda-otel-scaler.keda.svc.cluster.local:4318", "dns:///keda-otel-scaler.keda:4318"} {
		require.False(t, ask(t, h, broken(nil, "scalerAddress", addr)).Allowed, addr)
	}
	require.False(t, ask(t, h, broken(func(r *request) { r.Operation = "UPDATE" })).Allowed)
	for name, r := range map[string]*request{
		"another scaler":   broken(nil, "scalerAddress", "other.keda.svc:4318"),
		"a status":         broken(func(r *request) { r.SubResource = "status" }),
		"a deletion":       broken(func(r *request) { r.Operation, r.Object = "DELETE", nil }),
		"another kind":     broken(func(r *request) { r.Kind.Kind = "Pod" }),
		"another group":    broken(func(r *request) { r.Kind.Group = "apps" }),
		"a kind of KEDA":   broken(func(r *request) { r.Object = bytes.ReplaceAll(r.Object, []byte(`"external"`), []byte(`"cpu"`)) }),
		"not understood":   broken(func(r *request) { r.Object = []byte(`{"spec":{"triggers":7}}`) }),
		"nothing in it":    broken(func(r *request) { r.Object = []byte(`{}`) }),
		"what we can read": about("ScaledObject", md()),
	} {
		require.True(t, ask(t, h, r).Allowed, name)
	}
}

func TestKeysThatNothingReadsAreAWarning(t *testing.T) {
	out := ask(t, newHandler(t, ""), about("ScaledObject", md("thershold", "4")))
	require.True(t, out.Allowed)
	require.Equal(t, []string{"spec.triggers[0].metadata: nothing reads thershold"}, out.Warnings)
}

func TestWhatIsNoReviewIsRefused(t *testing.T) {
	h := newHandler(t, "")
	for body, code := range map[string]int{
		"": 400, "{": 400, "{}": 400, `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u"}}`: 400,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`: 400, strings.Repeat(" ", maxBody+1): 413,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body)))
		require.Equal(t, code, w.Code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, Path, nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

func FuzzReview(f *testing.F) {
	f.Add([]byte(`{"spec":{"triggers":[{"type":"external","metadata":{"scalerAddress":"keda-otel-scaler","metricQuery":"sum(\n\tx"}}]}}`))
	h := newHandler(f, "namespace")
	f.Fuzz(func(t *testing.T, object []byte) {
		if !json.Valid(object) {
			return
		}
		out := ask(t, h, &request{UID: "u", Kind: groupKind{"keda.sh", "ScaledObject"}, Namespace: "a", Operation: "CREATE", Object: object})
		require.Equal(t, out.Allowed, out.Status == nil)
		if !out.Allowed {
			require.True(t, utf8.ValidString(out.Status.Message))
			require.LessOrEqual(t, len(out.Status.Message), maxMessage+3)
		}
	})
}
