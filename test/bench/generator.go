package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
)

// connections is how many senders push side by side: enough to keep the server
// busy, few enough not to measure the machine's scheduler.
const connections = 4

// phaseLimit bounds every run of a generator, whatever the server does.
const phaseLimit = 3 * time.Minute

// generator sends requests over a few connections, each of which has its own
// share of them, so that the samples of a series come in order.
type generator struct {
	workers []*worker
	sent    atomic.Int64 // points
}

type worker struct {
	conn     *grpc.ClientConn
	requests []*payload.Request
	next     int
	sends    int // so far; the value sent, so that it is never the last one's
	sent     *atomic.Int64
}

// newGenerator connects to address. Generators may share requests as long as
// one of them runs at a time. The caller must close it.
func newGenerator(address string, requests []*payload.Request) (*generator, error) {
	g := &generator{}
	for i := range min(connections, len(requests)) {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			g.close()
			return nil, err
		}
		w := &worker{conn: conn, sent: &g.sent}
		for at := i; at < len(requests); at += connections {
			w.requests = append(w.requests, requests[at])
		}
		g.workers = append(g.workers, w)
	}
	return g, nil
}

func (g *generator) close() {
	for _, w := range g.workers {
		_ = w.conn.Close()
	}
}

// pass sends every request once, with the time that stamp tells.
func (g *generator) pass(ctx context.Context, stamp func() int64) error {
	return g.each(ctx, func(ctx context.Context, w *worker) error {
		return w.send(ctx, len(w.requests), stamp)
	})
}

// run sends at least that many points in a closed loop and returns how many
// they were.
func (g *generator) run(ctx context.Context, points int) (int64, error) {
	before := g.sent.Load()
	err := g.each(ctx, func(ctx context.Context, w *worker) error {
		size := w.requests[0].Points() * len(g.workers)
		return w.send(ctx, (points+size-1)/size, now)
	})
	return g.sent.Load() - before, err
}

func (g *generator) each(ctx context.Context, f func(context.Context, *worker) error) error {
	ctx, cancel := context.WithTimeout(ctx, phaseLimit)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range g.workers {
		group.Go(func() error { return f(ctx, w) })
	}
	return group.Wait()
}

func now() int64 { return time.Now().UnixNano() }

// send sends the worker's next requests, as many as count says.
func (w *worker) send(ctx context.Context, count int, stamp func() int64) error {
	for range count {
		if w.next == 0 {
			w.sends++
		}
		r := w.requests[w.next]
		w.next = (w.next + 1) % len(w.requests)
		r.Patch(stamp(), float64(w.sends))
		if err := export(ctx, w.conn, r); err != nil {
			return err
		}
		w.sent.Add(int64(r.Points()))
	}
	return nil
}

var errPartial = errors.New("the server did not take every point")

// exportTimeout is what a Collector's exporter gives a request, unless it is told
// otherwise.
const exportTimeout = 5 * time.Second

// export sends one request and insists on full success, which is an empty
// message.
func export(ctx context.Context, conn *grpc.ClientConn, r *payload.Request) error {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	var answer []byte
	if err := conn.Invoke(ctx, exportMethod, r, &answer, grpc.ForceCodecV2(clientBytes{})); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if len(answer) == 0 {
		return nil
	}
	response := pmetricotlp.NewExportResponse()
	if err := response.UnmarshalProto(answer); err != nil {
		return fmt.Errorf("%w, and its answer can't be read: %w", errPartial, err)
	}
	partial := response.PartialSuccess()
	if partial.RejectedDataPoints() == 0 && partial.ErrorMessage() == "" {
		return nil
	}
	return fmt.Errorf("%w: %d rejected: %s", errPartial, partial.RejectedDataPoints(), partial.ErrorMessage())
}

// clientBytes is the codec of a client whose messages are encoded already.
type clientBytes struct{}

func (clientBytes) Name() string { return "proto" }

// Marshal hands the request's own bytes over. They are patched again only after
// the answer, when the transport has no use for them.
func (clientBytes) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(*payload.Request).Bytes())}, nil
}

func (clientBytes) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
