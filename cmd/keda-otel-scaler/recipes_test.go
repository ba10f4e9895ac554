package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
	"github.com/keda-otel-scaler/keda-otel-scaler/store"
)

// scaled is what the recipes' test reads of a ScaledObject.
type scaled struct {
	Kind string
	Spec struct {
		Target   struct{ Name string } `yaml:"scaleTargetRef"`
		Triggers []struct{ Metadata map[string]string }
	}
}

// scaledOf is a recipe's ScaledObject: itself, or what KServe makes of it.
func scaledOf(t *testing.T, block string) (o scaled) {
	t.Helper()
	if strings.Contains(block, "kind: InferenceService") {
		file := filepath.Join(t.TempDir(), "isvc.yaml")
		require.NoError(t, os.WriteFile(file, []byte(block), 0o600))
		var stdout, stderr bytes.Buffer
		require.Zero(t, run(t.Context(), []string{"render", "-f", file}, &stdout, &stderr), stderr.String())
		block, _, _ = strings.Cut(stdout.String(), "\n---\n")
	}
	require.NoError(t, yaml.Unmarshal([]byte(block), &o))
	require.Equal(t, "ScaledObject", o.Kind)
	require.NotEmpty(t, o.Spec.Triggers)
	return o
}

// servers is a store that a deployment's two pods have pushed to, and the time it
// is there.
func servers(t *testing.T, deployment string, busy bool) (*store.Store, *time.Time) {
	t.Helper()
	text, err := os.ReadFile("testdata/servers.prom")
	require.NoError(t, err)
	now := time.UnixMilli(1_700_000_000_000)
	s := store.New(store.Options{Now: func() time.Time { return now }})
	const steps = 6
	for step := range steps {
		now = now.Add(5 * time.Second)
		a := s.Appender()
		for line := range strings.Lines(string(text)) {
			load, idle, ok := strings.Cut(strings.TrimSpace(line), ";")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			if !busy {
				load = load[:strings.LastIndex(load, "}")+1] + idle
				if !strings.Contains(load, "}") {
					load = strings.Fields(line)[0] + idle
				}
			}
			lset, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(strings.TrimSpace(load))
			require.NoError(t, err, line)
			require.Len(t, values, steps, line)
			for _, pod := range []string{"a", "b"} {
				b := labels.NewBuilder(lset)
				if !strings.HasPrefix(line, "envoy") {
					b.Set("namespace", "models").Set("deployment", deployment)
				}
				_, err = a.Append(b.Set("pod", pod).Labels(), now.UnixMilli(), values[step].Value)
				require.NoError(t, err, line)
			}
		}
		a.Commit()
	}
	return s, &now
}

// TestRecipes evaluates each query of each recipe over what the servers expose:
// load is a number, none is 0, servers that are late count with what
// they had, and those that stay silent make KEDA hold.
func TestRecipes(t *testing.T) {
	recipes := blocks(t, "../../docs/RECIPES.md", "yaml")
	require.Len(t, recipes, 14)
	for i, block := range recipes {
		o := scaledOf(t, block)
		busy, idle := true, false
		for j, trigger := range o.Spec.Triggers {
			text := trigger.Metadata["metricQuery"] + trigger.Metadata["query"]
			t.Run(fmt.Sprintf("%d.%d of %s", i+1, j+1, o.Spec.Target.Name), func(t *testing.T) {
				answers, now := recipe(t, o, busy)
				v, err := answers.Answer(t.Context(), "", text)
				require.NoError(t, err)
				require.Positive(t, v)
				*now = now.Add(time.Minute)
				late, err := answers.Answer(t.Context(), "", text)
				require.NoError(t, err)
				require.InDelta(t, v, late, v/10, "what is late counts with its last values")
				*now = now.Add(2 * time.Minute)
				_, err = answers.Answer(t.Context(), "", text)
				require.ErrorIs(t, err, scaler.ErrHeld)

				answers, _ = recipe(t, o, idle)
				v, err = answers.Answer(t.Context(), "", text)
				require.NoError(t, err)
				require.Zero(t, v)
			})
		}
	}
}

// recipe is a scaler over the servers of a recipe.
func recipe(t *testing.T, o scaled, busy bool) (*scaler.Server, *time.Time) {
	t.Helper()
	s, now := servers(t, o.Spec.Target.Name, busy)
	engine, err := query.New(query.Options{Store: s})
	require.NoError(t, err)
	end := *now
	*now = end.Add(-time.Minute) // it has been there before the servers, whose series are new then
	answers, err := scaler.New(scaler.Options{Queries: engine, Now: func() time.Time { return *now }})
	require.NoError(t, err)
	*now = end
	return answers, now
}
