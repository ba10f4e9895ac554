package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/process"
)

const (
	product     = "keda-otel-scaler"
	source      = "cmd/" + product
	scrapeLimit = 10 * time.Second
)

// The servers of the product, as its log names them.
const (
	otlpGRPC  = "otlp-grpc"
	kedaGRPC  = "keda-grpc"
	telemetry = "telemetry"
)

// buildProduct compiles the repository at root into dir as `make build` does.
func buildProduct(ctx context.Context, root, dir string) (binary string, err error) {
	if _, err := os.Stat(filepath.Join(root, source)); err != nil {
		return "", fmt.Errorf("-root: the repository to measure is not there: %w", err)
	}
	binary = filepath.Join(dir, product)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./"+source)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./%s: %w\n%s", source, err, output)
	}
	return binary, nil
}

// startProduct starts the product with its defaults, but for the ports and the
// warm-up, which is a matter of restarts, and what flags say.
func (b *bench) startProduct(ctx context.Context, flags ...string) (*process.Process, error) {
	return b.group.Start(ctx, process.Spec{
		Name: product,
		Path: b.binary,
		Args: append([]string{
			"serve",
			"--otlp-grpc-address=127.0.0.1:0",
			"--otlp-http-address=127.0.0.1:0",
			"--keda-address=127.0.0.1:0",
			"--http-address=127.0.0.1:0",
			"--telemetry-address=127.0.0.1:0",
			"--warm-up=0s",
			"--log-level=info",
			"--profiling", // costs nothing until asked, and can be told to collect
		}, flags...),
		Servers: []string{otlpGRPC, kedaGRPC, telemetry},
	})
}

// startReference starts this binary again as one of the reference servers.
func (b *bench) startReference(ctx context.Context, name string) (*process.Process, error) {
	return b.group.Start(ctx, process.Spec{Name: name, Path: b.self, Args: []string{name}, Servers: []string{name}})
}

// collect has the product's garbage collector run.
func collect(ctx context.Context, p *process.Process) error {
	response, err := get(ctx, p, "/debug/pprof/heap?gc=1")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// get asks the product's telemetry server.
func get(ctx context.Context, p *process.Process, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Address(telemetry)+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close() // the status says enough
		return nil, fmt.Errorf("%s of %s: %s", path, product, response.Status)
	}
	return response, nil
}

// checkStored compares what the product says of itself with what it was sent:
// a sample taken for a duplicate, or a series that was never made, would be
// cheap, and the figure a lie.
func checkStored(ctx context.Context, p *process.Process, series int, points int64) error {
	const (
		seriesGauge = "keda_otel_scaler_series"
		stored      = `keda_otel_scaler_samples_total{outcome="stored"}`
	)
	says, err := scrape(ctx, p)
	if err != nil {
		return err
	}
	if held := int(says[seriesGauge]); held != series {
		return fmt.Errorf("%s holds %d series, and %d were sent", product, held, series)
	}
	// Some points are stored under another outcome when the machine stalls: a
	// few in a thousand change no figure.
	if kept := int64(says[stored]); kept < points-points/200 {
		return fmt.Errorf("%s stored %d of %d samples as sent", product, kept, points)
	}
	return nil
}

// scrape reads the product's own metrics, by name and labels as written.
func scrape(ctx context.Context, p *process.Process) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeLimit)
	defer cancel()
	response, err := get(ctx, p, "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); ok && err == nil {
			values[name] = value
		}
	}
	return values, lines.Err()
}
