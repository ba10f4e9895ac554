//go:build linux

package plays

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/stage"
)

// asked is a ScaledObject with one trigger of ours.
const asked = `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: asked}
spec:
  scaleTargetRef: {name: asked}
  triggers:
    - type: external
      metadata:
        scalerAddress: keda-otel-scaler.keda.svc:4318
        metricQuery: '%s'
        targetValue: "%s"
`

// playInstall installs the chart as a user does. What it runs is the binary
// that runs anyway; the objects are the API server's to judge.
func playInstall(t *testing.T, s *stage.Stage) {
	const ns, release = "play-8", "keda-otel-scaler"
	s.Namespace(t, ns)
	values := []string{
		release, stage.Chart(t), "--namespace=keda", "--set=validatingAdmissionPolicy.enabled=true", "--set=webhook.enabled=true",
		"--set=podDisruptionBudget.enabled=true", "--set=networkPolicy.enabled=true",
	}
	manifests := s.Helm(t, append([]string{"template", "--validate"}, values...)...)
	accepted, err := s.Try(t.Context(), manifests, "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-")
	require.NoError(t, err)
	t.Log("\n" + accepted)
	t.Log("\n" + s.Helm(t, append([]string{"install", "--wait"}, values...)...))
	t.Cleanup(func() {
		if _, err := s.TryHelm(context.Background(), "uninstall", release, "--namespace=keda"); err != nil {
			t.Error(err)
		}
	})
	s.Admit(t, "keda-otel-scaler.keda")

	for _, refused := range []struct{ by, query, target, because string }{
		{"the policy", "sum(a)", "none", `targetValue must be a number above 0; write the load that one replica should carry`},
		{"the webhook", "sum(rate(a[1m])", "4", `unclosed left parenthesis`},
	} {
		poll.Until(t, stage.Follows, func(ctx context.Context) error {
			_, err := s.Try(ctx, fmt.Sprintf(asked, refused.query, refused.target), "apply", "--namespace="+ns, "--dry-run=server", "--filename=-")
			if err == nil {
				return fmt.Errorf("%s has not refused it", refused.by)
			}
			if !matches(err.Error(), refused.because) {
				return fmt.Errorf("%s does not say %q: %w", refused.by, refused.because, err)
			}
			t.Logf("%s: %v", refused.by, err)
			return nil
		})
	}
	_, err = s.Try(t.Context(), fmt.Sprintf(asked, "sum(a)", "4"), "apply", "--namespace="+ns, "--dry-run=server", "--filename=-")
	require.NoError(t, err)
	s.ApplyPage(t, ns, stage.PageOpenTelemetry)
	s.ScaledObject(t, ns, fbopt, map[string]string{"Ready": "True"})
}
