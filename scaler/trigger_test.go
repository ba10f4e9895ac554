package scaler

import (
	"maps"
	"strings"
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// parseTrigger is readTrigger with the first fault only.
func parseTrigger(md map[string]string, defaults Missing) (*Metadata, error) {
	t, found := readTrigger(md, defaults)
	if len(found) > 0 {
		return nil, found[0]
	}
	return t, nil
}

func with(md map[string]string, kv ...string) map[string]string {
	md = maps.Clone(md)
	for i := 0; i < len(kv); i += 2 {
		if kv[i+1] == "<absent>" {
			delete(md, kv[i])
			continue
		}
		md[kv[i]] = kv[i+1]
	}
	return md
}

// kserve is the metadata that KServe renders for the page's third example.
var kserve = map[string]string{
	"metricQuery":   `sum(vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predictor"})`,
	"targetValue":   "4",
	"scalerAddress": "keda-otel-scaler.keda.svc:4318",
}

func TestMetadataUnderstood(t *testing.T) {
	one, hundred := 1.0, 100.0
	base := Metadata{Query: kserve["metricQuery"], Over: query.LastOne, Target: 4}
	change := func(f func(*Metadata)) Metadata {
		tr := base
		f(&tr)
		return tr
	}
	for _, tc := range []struct {
		name string
		md   map[string]string
		want Metadata
	}{
		{"as KServe renders it", kserve, base},
		{"target as a quantity", with(kserve, "targetValue", "500m"), change(func(t *Metadata) { t.Target = 0.5 })},
		{"activation", with(kserve, "activationTargetValue", "2.5"), change(func(t *Metadata) { t.Activation = 2.5 })},
		{"operation over time", with(kserve, "operationOverTime", "rate"), change(func(t *Metadata) { t.Over = query.Rate })},
		{"clamps", with(kserve, "clampMin", "1", "clampMax", "100"), change(func(t *Metadata) { t.ClampMin, t.ClampMax = &one, &hundred })},
		{"empty optional keys are absent ones", with(kserve, "clampMin", "", "operationOverTime", "", "onMissing", ""), base},
		{"onMissing", with(kserve, "onMissing", "error"), change(func(t *Metadata) { t.Missing.Policy = Error })},
		{"onMissing: hold", with(kserve, "onMissing", "hold"), base},
		{"onMissing: value", with(kserve, "onMissing", "value", "valueIfNotFound", "1"), change(func(t *Metadata) { t.Missing = Missing{Value, 1} })},
		{"valueIfNotFound alone", with(kserve, "valueIfNotFound", "1"), change(func(t *Metadata) { t.Missing = Missing{Value, 1} })},
		{"what KEDA reads", with(kserve, "enableTLS", "true", "unsafeSsl", "false", "tokenFromEnv", "T"), base},
		{"what nobody reads", with(kserve, "zzz", "1", "aaa", "2"), change(func(t *Metadata) { t.Unread = []string{"aaa", "zzz"} })},
	} {
		got, err := parseTrigger(tc.md, Missing{})
		require.NoError(t, err, tc.name)
		require.Equal(t, &tc.want, got, tc.name)
	}
}

func TestDefaultForMissingDataAndItsOverride(t *testing.T) {
	def := Missing{Value, 7}
	got, err := parseTrigger(kserve, def)
	require.NoError(t, err)
	require.Equal(t, def, got.Missing)
	got, err = parseTrigger(with(kserve, "onMissing", "zero"), def)
	require.NoError(t, err)
	require.Equal(t, Zero, got.Missing.Policy)
}

func TestBadMetadataNamesKeyValueAndExample(t *testing.T) {
	for _, tc := range []struct {
		name string
		md   map[string]string
		want []string
	}{
		{"no query", with(kserve, "metricQuery", "<absent>"), []string{"metricQuery is missing", "metricQuery: sum("}},
		{"blank query", with(kserve, "metricQuery", " "), []string{"metricQuery is missing"}},
		{"no target", with(kserve, "targetValue", "<absent>"), []string{"targetValue is missing", `targetValue: "4"`}},
		{"no number", with(kserve, "targetValue", "four"), []string{`targetValue: "four" is not a number`, `targetValue: "4"`}},
		{"zero target", with(kserve, "targetValue", "0"), []string{`targetValue: "0" must be greater than 0`, `"4"`}},
		{"negative target", with(kserve, "targetValue", "-4"), []string{`targetValue: "-4" must be greater than 0`}},
		{"target that KEDA rounds to zero", with(kserve, "targetValue", "0.0004"), []string{`"0.0004"`, "thousandths"}},
		{"infinite target", with(kserve, "targetValue", "Inf"), []string{`"Inf" is not a number`}},
		{"activation", with(kserve, "activationTargetValue", "x"), []string{`activationTargetValue: "x" is not a number`, `activationTargetValue: "0"`}},
		{"operation", with(kserve, "operationOverTime", "median"), []string{"operationOverTime", `"median"`, "last_one, avg", "operationOverTime: avg"}},
		{"clampMin", with(kserve, "clampMin", "low"), []string{`clampMin: "low"`, `clampMin: "1"`}},
		{"clampMax", with(kserve, "clampMax", "high"), []string{`clampMax: "high"`, `clampMax: "100"`}},
		{"clamps the wrong way round", with(kserve, "clampMin", "9", "clampMax", "3"), []string{`clampMin: "9" is greater than clampMax "3"`}},
		{"onMissing", with(kserve, "onMissing", "ignore"), []string{"onMissing", `"ignore"`, "hold, zero, error, value", "onMissing: error"}},
		{"value without a value", with(kserve, "onMissing", "value"), []string{"needs a valueIfNotFound", `valueIfNotFound: "1"`}},
		{"a value that isn't used", with(kserve, "onMissing", "zero", "valueIfNotFound", "3"), []string{`valueIfNotFound: "3" goes with onMissing: value only`}},
		{"no number as value", with(kserve, "valueIfNotFound", "none"), []string{`valueIfNotFound: "none" is not a number`}},
		{"a key in the wrong case", with(kserve, "clampmax", "5"), []string{"clampmax is not read", `write clampMax: "5"`}},
	} {
		_, err := parseTrigger(tc.md, Missing{})
		require.ErrorIs(t, err, ErrTrigger, tc.name)
		for _, w := range tc.want {
			require.ErrorContains(t, err, w, tc.name)
		}
	}
}

func TestParseOnMissing(t *testing.T) {
	for _, o := range []OnMissing{Hold, Zero, Error, Value} {
		got, err := ParseOnMissing(o.String())
		require.NoError(t, err)
		require.Equal(t, o, got)
	}
	_, err := ParseOnMissing("")
	require.Error(t, err)
}

func TestCheckFindsAtOnceAllThatIsRefused(t *testing.T) {
	queries, err := query.New(query.Options{})
	require.NoError(t, err)
	server, err := New(Options{Queries: queries})
	require.NoError(t, err)
	for _, tc := range []struct {
		name   string
		md     map[string]string
		keys   []string // of the faults
		unread []string
	}{
		{name: "nothing", md: kserve, unread: nil},
		{name: "what nobody reads", md: with(kserve, "zzz", "1"), unread: []string{"zzz"}},
		{name: "empty", md: nil, keys: []string{"metricQuery", "targetValue"}},
		{name: "the query", md: with(kserve, "metricQuery", "sum(x"), keys: []string{"metricQuery"}},
		{
			name: "everything",
			md: map[string]string{
				"metricQuery": "sum(x", "targetValue": "-1", "activationTargetValue": "a", "operationOverTime": "b",
				"clampMin": "9", "clampMax": "3", "onMissing": "c", "valueIfNotFound": "d", "TargetValue": "4",
			},
			keys: []string{"TargetValue", "operationOverTime", "targetValue", "activationTargetValue", "clampMin", "valueIfNotFound", "onMissing", "metricQuery"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, unread, plan := Check(tc.md, queries, query.Scope{})
			var keys []string
			for _, f := range found {
				keys = append(keys, f.Key)
				require.ErrorIs(t, f, ErrTrigger)
				require.True(t, strings.HasPrefix(f.Err.Error(), f.Key), f.Err)
			}
			require.Equal(t, tc.keys, keys)
			require.Equal(t, tc.unread, unread)
			_, err := server.lookup(t.Context(), &pb.ScaledObjectRef{Name: "a", Namespace: "b", ScalerMetadata: tc.md}, rpcActive)
			if len(found) == 0 {
				require.NotNil(t, plan)
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, found[0].Error())
			}
		})
	}
}
