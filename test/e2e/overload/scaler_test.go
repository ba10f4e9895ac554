package overload

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

var (
	loadFor     = flag.Duration("overload", 8*time.Second, "how long the overload lasts; 60s is the promise")
	connections = flag.Int("connections", 1000, "idle connections; 10000 is the promise")
)

// scaler is the product, with as much memory as a test gives it.
type scaler struct {
	*process.Process
	otlp, otlpHTTP, keda, http, telemetry string
}

func startScaler(t *testing.T, memory string, flags ...string) *scaler {
	t.Helper()
	path, err := binary.Scaler(t.Context())
	require.NoError(t, err)
	logs, err := binary.Artifacts()
	require.NoError(t, err)
	s := &scaler{
		otlp: process.FreeAddress(t), otlpHTTP: process.FreeAddress(t), keda: process.FreeAddress(t),
		http: process.FreeAddress(t), telemetry: process.FreeAddress(t),
	}
	s.Process = process.Start(t, process.Spec{Name: "scaler", Path: path, Env: []string{memory}, Logs: logs, Args: append([]string{
		"serve", "--otlp-grpc-address=" + s.otlp, "--otlp-http-address=" + s.otlpHTTP, "--keda-address=" + s.keda,
		"--http-address=" + s.http, "--telemetry-address=" + s.telemetry, "--warm-up=0",
	}, flags...)})
	poll.Until(t, 20*time.Second, func(ctx context.Context) error {
		_, err := s.scrape(ctx)
		return err
	})
	return s
}

func (s *scaler) conn(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// metrics asks as KEDA does, about what one sender sends.
func (s *scaler) metrics(ctx context.Context, conn *grpc.ClientConn, sender int) (*pb.GetMetricsResponse, error) {
	return pb.NewExternalScalerClient(conn).GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: &pb.ScaledObjectRef{
		Name: fmt.Sprintf("model-%d", sender), Namespace: "team", ScalerMetadata: map[string]string{
			"metricQuery": fmt.Sprintf(`sum(vllm:metric_00{namespace="team", deployment="model-%d"})`, sender),
			"targetValue": "4",
		},
	}})
}

// ask asks in KEDA's name for so long, and returns how long each call took.
func (s *scaler) ask(t *testing.T, during time.Duration) (took []time.Duration) {
	t.Helper()
	held := 0
	conn := s.conn(t, s.keda)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		began := time.Now()
		_, err := s.metrics(t.Context(), conn, len(took)%senders)
		took = append(took, time.Since(began))
		if err != nil {
			held++
		}
	}
	t.Logf("KEDA was told to hold %d times", held) // by whose senders' pushes were refused
	return took
}

func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(q*float64(len(sorted)-1))].Round(10 * time.Microsecond)
}

func (s *scaler) scrape(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.telemetry+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

// metric returns one series of /metrics.
func (s *scaler) metric(t *testing.T, series string) float64 {
	t.Helper()
	text, err := s.scrape(t.Context())
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		if value, ok := strings.CutPrefix(string(line), series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(t, err)
			return v
		}
	}
	t.Fatalf("no %s", series)
	return 0
}

// cpu is how much of its cores the process has had so far.
func (s *scaler) cpu(t *testing.T) time.Duration {
	t.Helper()
	return time.Duration(s.metric(t, "process_cpu_seconds_total") * float64(time.Second))
}

// peakMiB is the most memory that the kernel has counted so far.
func (s *scaler) peakMiB(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			require.NoError(t, err)
			return kib / 1024
		}
	}
	t.Fatal("the kernel tells no VmHWM")
	return 0
}
