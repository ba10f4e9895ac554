package promql

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
)

// left are the scripts that don't pass, and why.
var left = map[string]string{
	"testdata/start_timestamps.test": "a start timestamp with each sample is an experiment of Prometheus' (--enable-feature=st-storage), " +
		"for which a sample would take half as much memory again",
}

// late is a script about an experiment that the runner's engine takes part in,
// delayed name removal. Ours drops names where Prometheus does by default.
const late = "testdata/name_label_dropping.test"

// runner runs each of Prometheus' scripts but those that are left.
type runner struct {
	*testing.T
	f *front
}

func (r runner) Run(name string, f func(*testing.T)) bool {
	return r.T.Run(name, func(t *testing.T) {
		if why, ok := left[name]; ok {
			t.Skip(why)
		}
		r.f.t, r.f.idle = t, name == late
		f(t)
	})
}

// TestPrometheusScripts runs what Prometheus accepts its own engine by.
func TestPrometheusScripts(t *testing.T) {
	f := &front{
		QueryEngine: promqltest.NewTestEngine(t, false, lookback, 50_000),
		engines:     map[storage.Queryable]*query.Engine{},
		lookback:    lookback,
	}
	promqltest.RunBuiltinTestsWithStorage(runner{t, f}, f, newStorage)
	t.Logf("%d queries of the scripts were asked of our plans, too; %d answers were numbers, %d differed because of series that don't push; %d read the future",
		f.asked, f.answered, len(f.hidden), f.ahead)
	require.Greater(t, f.asked, 10_000)
	require.Greater(t, f.answered, 8500)
	require.Less(t, len(f.hidden), 250, "few of the scripts' queries are about series that stopped")
	require.Less(t, f.ahead, 350)
}

// TestOurScripts runs those about what is ours, on the store as it is in
// production. Their form is Prometheus', but what is loaded arrives at its time.
func TestOurScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.test")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	const live = 2 * time.Minute // lookback and retention
	for _, path := range scripts {
		t.Run(filepath.Base(path), func(t *testing.T) {
			script, err := os.ReadFile(path)
			require.NoError(t, err)
			f := &front{
				QueryEngine: promqltest.NewTestEngine(t, false, live, 50_000),
				engines:     map[storage.Queryable]*query.Engine{},
				lookback:    live, t: t,
			}
			promqltest.RunTestWithStorage(t, string(script), atItsTime{f}, newLiveStorage)
			require.NotZero(t, f.answered)
		})
	}
}
