package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	controllerlog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
)

// buildTimeout covers a Collector and a Prometheus built with cold caches.
const buildTimeout = 30 * time.Minute

// The product, a Prometheus and its command line; TestMain builds them before any
// test runs.
var scalerBinary, prometheusBinary, promtoolBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	// The scenarios wait for other processes far more than they compute, so all
	// of them run side by side, however few cores there are.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	// KEDA logs every error it also returns; without a logger set it complains.
	controllerlog.SetLogger(logr.Discard())
	if err := buildAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func buildAll() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	product := binary.Scaler
	if *soakRace {
		product = binary.RaceScaler
	}
	if scalerBinary, err = product(ctx); err != nil {
		return err
	}
	if prometheusBinary, err = binary.Prometheus(ctx); err != nil {
		return err
	}
	if promtoolBinary, err = binary.Promtool(ctx); err != nil {
		return err
	}
	_, err = binary.Collector(ctx) // so that no scenario's clock runs while it is built
	return err
}
