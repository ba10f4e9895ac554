package helm

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
)

// settings are the program's when it is started with args, as text by flag.
func settings(t *testing.T, args []string) map[string]string {
	t.Helper()
	var c config.Config
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.Bind(flags)
	require.NoError(t, flags.Parse(args))
	notes, err := c.Load(flags, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	require.Empty(t, notes)
	all := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) { all[f.Name] = f.Value.String() })
	return all
}

func args(t *testing.T, values string) []string {
	t.Helper()
	return deployment(t, values).Spec.Template.Spec.Containers[0].Args
}

// TestDefaultsAreTheProgramsOwn keeps the chart from deciding over what nobody
// asked it to decide, but where a snapshot may be, which only the chart can know.
func TestDefaultsAreTheProgramsOwn(t *testing.T) {
	got := settings(t, args(t, ""))
	require.Equal(t, "/var/lib/keda-otel-scaler/snapshot", got["snapshot-path"])
	without := settings(t, args(t, "settings: {snapshot: {enabled: false}}"))
	require.Equal(t, settings(t, nil), without)
	for _, flag := range []string{"snapshot-path", "snapshot-max-bytes"} {
		got[flag] = without[flag]
	}
	require.Equal(t, without, got)
}

func TestTheProgramStartsWithEveryValues(t *testing.T) {
	for name, values := range values(t) {
		require.NotEmpty(t, settings(t, args(t, values)), name)
	}
}

func TestKilledOnlyAfterItsOwnTimeout(t *testing.T) {
	grace := *deployment(t, "").Spec.Template.Spec.TerminationGracePeriodSeconds
	require.Greater(t, time.Duration(grace)*time.Second, config.MaxShutdown)
}

func TestMissingDataInOtelAddOnsWords(t *testing.T) {
	for _, tc := range []struct{ values, policy, number string }{
		{"", "hold", "0"},
		{"errIfNotFound: false, valueIfNotFound: 0.", "hold", "0"},
		{"errIfNotFound: true", "error", "0"},
		{"errIfNotFound: true, valueIfNotFound: 3", "error", "0"},
		{"valueIfNotFound: 3", "value", "3"},
		{"onMissing: zero", "zero", "0"},
		{"onMissing: value, valueIfNotFound: 1.5", "value", "1.5"},
		{"onMissing: hold, errIfNotFound: true", "hold", "0"},
	} {
		got := settings(t, args(t, "settings: {metricStore: {"+tc.values+"}}"))
		require.Equal(t, []string{tc.policy, tc.number}, []string{got["on-missing"], got["value-if-not-found"]}, tc.values)
	}
}

func TestGoMemLimitFollowsTheLimit(t *testing.T) {
	for limit, want := range map[string]string{
		"1Gi": "912680550", "1.5Gi": "1369020825", "500M": "425000000", "1073741824": "912680550", `"64Mi"`: "57042534", "0.5Ti": "467292441804",
	} {
		env := deployment(t, "resources: {limits: {memory: "+limit+"}}").Spec.Template.Spec.Containers[0].Env
		require.Len(t, env, 1)
		require.Equal(t, "GOMEMLIMIT="+want, env[0].Name+"="+env[0].Value, limit)
	}
	require.Empty(t, deployment(t, "resources: {limits: {memory: null}}").Spec.Template.Spec.Containers[0].Env)
}
