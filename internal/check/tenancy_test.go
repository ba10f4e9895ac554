package check

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/kserve"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

// TestQueriesOfOtherNamespaces: what the server refuses with
// --enforce-namespace-label is told here, if it is known that it does.
func TestQueriesOfOtherNamespaces(t *testing.T) {
	const (
		scaled   = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a@}\nspec:\n  scaleTargetRef: {name: a}\n  triggers:\n    - type: "
		external = scaled + "external\n      metadata:\n        scalerAddress: keda-otel-scaler:4318\n        targetValue: \"1\"\n        metricQuery: "
		asked    = scaled + "prometheus\n      metadata:\n        serverAddress: http://keda-otel-scaler:9090/keda\n        threshold: \"1\"\n        query: "
		models   = ", namespace: models"
	)
	for _, tc := range []struct{ name, text, namespace, want string }{
		{"names none", external + "sum(x)", models, ""},
		{"names its own", external + `sum(x{ns="models"})`, models, ""},
		{"names another", external + `sum(x{ns="other"})`, models, `x{ns="other"} can match nothing: the query sees only series with ns="models"`},
		{"excludes its own", external + `sum(x{ns!="models"})`, models, "excludes them all; leave ns!=\"models\" out"},
		{"otel-add-on's grammar", external + "sum(x{ns=other})", models, "can match nothing"},
		{"goes where it is applied to", external + `sum(x{ns="default"})`, "", ""},
		{"prometheus without", asked + "sum(x)", models, "is missing, and under /keda only the series of one namespace are shown; write namespace: models"},
		{"prometheus", asked + "sum(x)\n        namespace: models", models, ""},
		{"prometheus, another", asked + "sum(x{ns=\"other\"})\n        namespace: models", models, "can match nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for label, want := range map[string]string{"ns": tc.want, "": ""} {
				c, err := New(Options{Service: "keda-otel-scaler", Label: label, KServe: kserve.Defaults()})
				require.NoError(t, err)
				_, objects, bad, err := manifest.Read("f", strings.NewReader(strings.Replace(tc.text, "@", tc.namespace, 1)+"\n"))
				require.NoError(t, err)
				require.Empty(t, bad)
				found, known := c.Object(objects[0])
				require.True(t, known)
				if want == "" {
					require.Empty(t, found)
					continue
				}
				require.Len(t, found, 1)
				require.Equal(t, Error, found[0].Severity)
				require.Contains(t, found[0].Message, want)
			}
		})
	}
}
