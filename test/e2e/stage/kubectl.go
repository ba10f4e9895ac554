package stage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
)

// Kubectl runs kubectl as the cluster's administrator and returns what it
// printed, which must be without an error.
func (s *Stage) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.Try(t.Context(), "", args...)
	require.NoError(t, err)
	return out
}

// Apply applies manifests as a user does: kubectl apply -f -.
func (s *Stage) Apply(t testing.TB, namespace, manifests string) {
	t.Helper()
	_, err := s.Try(t.Context(), manifests, "apply", "--namespace="+namespace, "--filename=-")
	require.NoError(t, err)
}

// Try is Kubectl with a standard input and an error for the caller to judge.
func (s *Stage) Try(ctx context.Context, stdin string, args ...string) (string, error) {
	return s.run(ctx, stdin, s.programs.Kubectl, args...)
}

func (s *Stage) run(ctx context.Context, stdin, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.admin, "HOME="+s.dir)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// install applies what comes with a program, files or folders, until the API
// server takes it: a namespace's default account, for one, comes a little later.
func (s *Stage) install(t testing.TB, files ...string) {
	t.Helper()
	args := []string{"apply", "--server-side", "--force-conflicts", "--filename=" + strings.Join(files, ",")}
	poll.Until(t, startWithin, func(ctx context.Context) error {
		_, err := s.Try(ctx, "", args...)
		return err
	})
}

// installText is install of manifests in text.
func (s *Stage) installText(t testing.TB, manifests string) {
	t.Helper()
	poll.Until(t, startWithin, func(ctx context.Context) error {
		_, err := s.Try(ctx, manifests, "apply", "--server-side", "--force-conflicts", "--filename=-")
		return err
	})
}
