package admission

import (
	"os"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/stretchr/testify/require"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

type expression struct{ Name, Expression, Message string }

// refusals are the messages of the policy for a trigger's metadata.
func refusals(t *testing.T, metadata map[string]any) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/helm/keda-otel-scaler/files/validatingadmissionpolicy.yaml")
	require.NoError(t, err)
	var policy struct{ Variables, Validations []expression }
	require.NoError(t, yaml.Unmarshal(text, &policy))
	env := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).NewExpressionsEnv()
	env, err = env.Extend(cel.Variable("object", cel.DynType), cel.Variable("variables", cel.MapType(cel.StringType, cel.DynType)))
	require.NoError(t, err)
	variables := map[string]any{}
	in := map[string]any{
		"object":    map[string]any{"spec": map[string]any{"triggers": []any{map[string]any{"type": "external", "metadata": metadata}, map[string]any{"type": "cpu"}}}},
		"variables": variables,
	}
	evaluate := func(text string) any {
		ast, issues := env.Compile(text)
		require.NoError(t, issues.Err(), text)
		program, err := env.Program(ast)
		require.NoError(t, err)
		out, _, err := program.Eval(in)
		require.NoError(t, err, text)
		return out.Value()
	}
	for _, v := range policy.Variables {
		variables[v.Name] = evaluate(v.Expression)
	}
	for _, v := range policy.Validations {
		if evaluate(v.Expression) != true {
			all = append(all, v.Message)
		}
	}
	return all
}

func md(kv ...string) map[string]any {
	m := map[string]any{"scalerAddress": "keda-otel-scaler.keda.svc:4318", "metricQuery": "sum(x)", "targetValue": "4"}
	for i := 0; i < len(kv); i += 2 {
		if m[kv[i]] = kv[i+1]; kv[i+1] == "<absent>" {
			delete(m, kv[i])
		}
	}
	return m
}

func TestWhatWeTakeIsAccepted(t *testing.T) {
	for _, query := range []string{
		`sum(vllm:num_requests_running{namespace="ns", deployment="d"})`, `sum(rate(x[1m]){namespace="ns", deployment="d"})`, `{"http.server/requests"}`,
		`avg(x{a=b})`, `histogram_quantile(0.95, sum by (le) (rate(x_bucket[1m]))) > 2`, "sum(\n x)", `x{a="("}`,
	} {
		require.Empty(t, refusals(t, md("metricQuery", query)), query)
	}
	for _, target := range []string{"4", "0.5", "500m", "1e3", " 2 ", "1E", "+.5", "2Ki", "10"} {
		require.Empty(t, refusals(t, md("targetValue", target)), target)
	}
	require.Empty(t, refusals(t, md("clampMin", "-1", "clampMax", "", "operationOverTime", "rate", "onMissing", "zero")))
	require.Empty(t, refusals(t, md("clampMin", "1k", "clampMax", "2M")))
	require.Empty(t, refusals(t, md("scalerAddress", "other.keda.svc:4318", "targetValue", "x")), "not ours")
}

func TestWhatIsSurelyWrongIsRefused(t *testing.T) {
	for _, tc := range [][3]string{
		{"metricQuery", "<absent>", "metricQuery"}, {"metricQuery", " ", "metricQuery"}, {"targetValue", "<absent>", "targetValue"},
		{"targetValue", "0", "targetValue"}, {"targetValue", "0.0e5", "targetValue"}, {"targetValue", "-4", "targetValue"}, {"targetValue", "many", "targetValue"},
		{"operationOverTime", "median", "operationOverTime"}, {"onMissing", "guess", "onMissing"}, {"clampMin", "low", "clampMin and"}, {"clampMax", "high", "clampMin and"},
	} {
		found := refusals(t, md(tc[0], tc[1]))
		require.Len(t, found, 1, tc)
		require.Contains(t, found[0], tc[2])
	}
	require.Equal(t, []string{"clampMin is greater than clampMax"}, refusals(t, md("clampMin", "10", "clampMax", "9.5")))
}
