package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/poll"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/process"
)

// readyWithin bounds the product's start.
const readyWithin = 20 * time.Second

// scaler is one running process of the product.
type scaler struct {
	*process.Process
	addresses
	flags []string
}

// addresses are the product's listeners. They outlive the process, as a Service
// outlives a pod.
type addresses struct {
	otlp, otlpHTTP, keda, http, telemetry string
}

// startScaler runs the product with flags added to the ones every scenario
// wants, and returns when it is ready.
func startScaler(t testing.TB, flags ...string) *scaler {
	t.Helper()
	a := addresses{
		otlp: process.FreeAddress(t), otlpHTTP: process.FreeAddress(t), keda: process.FreeAddress(t),
		http: process.FreeAddress(t), telemetry: process.FreeAddress(t),
	}
	return a.start(t, "scaler", flags...)
}

// again starts a second process on the addresses of the first, which has ended.
func (s *scaler) again(t testing.TB) *scaler {
	t.Helper()
	return s.start(t, "scaler-again", s.flags...)
}

func (a addresses) start(t testing.TB, name string, flags ...string) *scaler {
	t.Helper()
	logs, err := binary.Artifacts()
	require.NoError(t, err)
	args := append([]string{
		"serve",
		"--otlp-grpc-address=" + a.otlp,
		"--otlp-http-address=" + a.otlpHTTP,
		"--keda-address=" + a.keda,
		"--http-address=" + a.http,
		"--telemetry-address=" + a.telemetry,
		"--warm-up=1s",
		"--retention=2m",
		"--log-level=debug",
	}, flags...)
	s := &scaler{
		Process:   process.Start(t, process.Spec{Name: name, Path: scalerBinary, Args: args, Logs: logs}),
		addresses: a,
		flags:     flags,
	}
	poll.Until(t, readyWithin, s.ready)
	return s
}

func (s *scaler) ready(ctx context.Context) error {
	select {
	case <-s.Exited():
		return fmt.Errorf("the scaler has exited with code %d", s.ExitCode())
	default:
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.telemetry+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz: %s", response.Status)
	}
	return nil
}
