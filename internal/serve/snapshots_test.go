package serve

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// askOnce asks as KEDA does.
func askOnce(t *testing.T, i *instance) (float64, error) {
	t.Helper()
	answer, err := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: object()})
	if err != nil {
		return 0, err
	}
	return answer.GetMetricValues()[0].GetMetricValueFloat(), nil
}

// pushed starts an instance with a snapshot that a value was pushed to.
func pushed(t *testing.T, path string, args ...string) *instance {
	t.Helper()
	i := start(t, append([]string{"--snapshot-path=" + path}, args...)...)
	_, err := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(t.Context(), push("queue_length", 42))
	require.NoError(t, err)
	return i
}

// TestRestartServesWhatWasHeld, at once, and says so; without a snapshot it holds.
func TestRestartServesWhatWasHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	i := pushed(t, path)
	_, err := askOnce(t, i)
	require.Equal(t, codes.Unavailable, status.Code(err), "warming up")
	_, ready := get(t, i.Telemetry, "/readyz")
	require.Equal(t, "ok\nthere was no snapshot to restore\n", ready)
	_, err = i.wait(t)
	require.NoError(t, err)
	require.NoFileExists(t, path, "of a part of those who push")
	i = pushed(t, path, "--warm-up=0")
	_, err = i.wait(t)
	require.NoError(t, err)
	require.Contains(t, i.log.String(), "wrote the last snapshot")

	i = start(t, "--snapshot-path="+path)
	v, err := askOnce(t, i)
	require.NoError(t, err)
	require.InDelta(t, 42, v, 0)
	_, ready = get(t, i.Telemetry, "/readyz")
	require.Regexp(t, `^ok\nrestored 1 series from a snapshot that was \S+ old\n$`, ready)
	require.Contains(t, i.log.String(), `msg="restored a snapshot"`)
	_, metrics := get(t, i.Telemetry, "/metrics")
	require.Contains(t, metrics, "\nkeda_otel_scaler_snapshot_restored_series 1\n")
	_, err = i.wait(t)
	require.NoError(t, err)
}

// TestUnreadableSnapshotIsNone: it is kept aside, and the start is as without.
func TestUnreadableSnapshotIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	i := pushed(t, path, "--warm-up=0")
	_, err := i.wait(t)
	require.NoError(t, err)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	older := bytes.Clone(whole)
	older[len("keda-otel-scaler snapshot\n")]--
	for name, tc := range map[string]struct {
		file []byte
		args string
		why  string
	}{
		"cut off":   {whole[:len(whole)-3], "", "damaged snapshot file"},
		"empty":     {nil, "", "damaged snapshot file"},
		"older":     {older, "", "snapshot file of another version: 1, and this program reads 2"},
		"too large": {whole, "--snapshot-max-bytes=99", "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, tc.file, 0o600))
			i := start(t, strings.Fields("--snapshot-path="+path+" "+tc.args)...)
			require.Contains(t, i.log.String(), "could not restore the snapshot")
			_, ready := get(t, i.Telemetry, "/readyz")
			require.Contains(t, ready, "ok\nthe snapshot was not restored: ")
			require.Contains(t, ready, tc.why)
			_, err := askOnce(t, i)
			require.Equal(t, codes.Unavailable, status.Code(err))
			kept, err := os.ReadFile(path + ".damaged")
			require.NoError(t, err)
			require.Equal(t, string(tc.file), string(kept))
			_, err = i.wait(t)
			require.NoError(t, err)
		})
	}
}

// TestSnapshotsAreWrittenAllTheTime, and a failure is told once, until it is over.
func TestSnapshotsAreWrittenAllTheTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made later", "snapshot")
	i := pushed(t, path, "--snapshot-interval=100ms", "--warm-up=0")
	i.log.waitFor(t, "could not write a snapshot")
	failures := func() string {
		_, metrics := get(t, i.Telemetry, "/metrics")
		_, after, _ := strings.Cut(metrics, "\nkeda_otel_scaler_snapshot_writes_total{outcome=\"failure\"} ")
		n, _, _ := strings.Cut(after, "\n")
		return n
	}
	require.Eventually(t, func() bool { return failures() > "2" }, generous, 10*time.Millisecond)
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	i.log.waitFor(t, "a snapshot was written again")
	require.Equal(t, 1, strings.Count(i.log.String(), "could not write a snapshot"))
	_, metrics := get(t, i.Telemetry, "/metrics")
	require.Contains(t, metrics, "\nkeda_otel_scaler_snapshot_writes_total{outcome=\"success\"} ")
	require.NotContains(t, metrics, "\nkeda_otel_scaler_snapshot_size_bytes 0\n")
	require.NotContains(t, metrics, "\nkeda_otel_scaler_snapshot_last_success_timestamp_seconds 0\n")

	// As after a crash: whatever the instance holds by now is in the file.
	require.NoError(t, os.Rename(path, path+".copy"))
	other := start(t, "--snapshot-path="+path+".copy")
	v, err := askOnce(t, other)
	require.NoError(t, err)
	require.InDelta(t, 42, v, 0)
	for _, i := range []*instance{i, other} {
		_, err = i.wait(t)
		require.NoError(t, err)
	}
}
