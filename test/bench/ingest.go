package main

import (
	"context"
	"fmt"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/payload"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/process"
	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

// The two shapes of a request.
const (
	podsPerSidecar = 1
	podsPerGateway = 50
)

// podsPerDeployment is how far a model server is scaled out.
const podsPerDeployment = 5

const ingestMethod = "CPU time, user and system, that the kernel charges to the server's process for a data point. A closed loop of\n" +
	"four connections sends a fixed number of requests that were encoded beforehand and get fresh times and values in\n" +
	"place, with a Collector's deadline of five seconds; before each measured phase every series is sent once, so all are known. *sidecar*: one pod a request, 20\n" +
	"gauges of 4 attributes under a resource of 5. *gateway*: 50 such pods a request. The servers take turns, round by\n" +
	"round; ratios are of one round, and the middle one counts. *bytes*: gRPC hands over the request's bytes and no code\n" +
	"decodes them. *pdata*: the Collector's own receiver, which decodes and drops. " + steadyMethod

// loaded is a server and the load it is under.
type loaded struct {
	name      string
	process   *process.Process
	generator *generator
}

func (b *bench) ingest(ctx context.Context) ([]report.Row, error) {
	pods := payload.Fleet(max(b.ingestSeries/len(payload.ModelServer)/podsPerDeployment, 1), podsPerDeployment)
	sidecar := ingestShape{"sidecar", podsPerSidecar, b.sidecarPoints}
	rows, err := b.ingestShape(ctx, sidecar, pods)
	if err != nil {
		return nil, err
	}
	gateway := ingestShape{"gateway", podsPerGateway, b.gatewayPoints}
	more, err := b.ingestShape(ctx, gateway, pods)
	return append(rows, more...), err
}

type ingestShape struct {
	name           string
	podsPerRequest int
	points         int // a measured phase
}

func (b *bench) ingestShape(ctx context.Context, shape ingestShape, pods []payload.Pod) ([]report.Row, error) {
	requests, err := payload.Requests(pods, payload.ModelServer, shape.podsPerRequest, payload.Full)
	if err != nil {
		return nil, err
	}
	servers, stop, err := b.ingestServers(ctx, requests)
	defer stop()
	if err != nil {
		return nil, err
	}
	perPoint := make([][]float64, len(servers))
	for round := range b.rounds {
		for i, server := range servers {
			ns, err := server.cpuPerPoint(ctx, shape.points)
			if err != nil {
				return nil, fmt.Errorf("%s to %s: %w", shape.name, server.name, err)
			}
			b.say("ingest: %s: round %d of %d: %s: %.0f ns/point", shape.name, round+1, b.rounds, server.name, ns)
			perPoint[i] = append(perPoint[i], ns)
		}
	}
	ours := servers[2]
	if err := checkStored(ctx, ours.process, payload.Points(requests), ours.generator.sent.Load()); err != nil {
		return nil, err
	}
	return b.ingestRows(shape, servers, perPoint), nil
}

// ingestServers starts bytes, pdata and the product, in this order. The caller
// must call stop, also after an error.
func (b *bench) ingestServers(ctx context.Context, requests []*payload.Request) (servers []loaded, stop func(), err error) {
	stop = func() {
		for _, server := range servers {
			server.stop()
		}
	}
	for _, name := range []string{bytesServer, pdataServer} {
		p, err := b.startReference(ctx, name)
		if err != nil {
			return servers, stop, err
		}
		server, err := load(name[len("serve-"):], p, p.Address(name), requests)
		if err != nil {
			return servers, stop, err
		}
		servers = append(servers, server)
	}
	ours, err := b.loadSteady(ctx, requests)
	if err != nil {
		return servers, stop, err
	}
	return append(servers, ours), stop, nil
}

func (b *bench) loadProduct(ctx context.Context, requests []*payload.Request, flags ...string) (loaded, error) {
	p, err := b.startProduct(ctx, flags...)
	if err != nil {
		return loaded{}, err
	}
	return load(product, p, p.Address(otlpGRPC), requests)
}

// steadyMethod says why a server's series are bounded where its CPU is measured.
const steadyMethod = "A closed loop pushes in a minute what\n" +
	"pods push in hours, and rings that grow all the time cost more than what is measured: so they hold 24 samples a series\n" +
	"(--max-samples-per-series), as many as pods have in them at a push every five seconds, and are filled beforehand."

// steadySamples is how many samples a series has at a push every five seconds.
const steadySamples = 24

// loadSteady starts the product and fills rings of that length.
func (b *bench) loadSteady(ctx context.Context, requests []*payload.Request) (loaded, error) {
	l, err := b.loadProduct(ctx, requests, fmt.Sprintf("--max-samples-per-series=%d", steadySamples))
	if err != nil {
		return l, err
	}
	for range steadySamples {
		if err := l.generator.pass(ctx, now); err != nil {
			l.stop()
			return l, err
		}
	}
	return l, nil
}

func load(name string, p *process.Process, address string, requests []*payload.Request) (loaded, error) {
	g, err := newGenerator(address, requests)
	if err != nil {
		p.Stop()
		return loaded{}, err
	}
	return loaded{name, p, g}, nil
}

func (l loaded) stop() {
	l.generator.close()
	l.process.Stop()
}

// cpuPerPoint sends every series once and then measures: a series must be known,
// and must not have fallen silent while another server had its turn.
func (l loaded) cpuPerPoint(ctx context.Context, points int) (ns float64, err error) {
	if err := l.generator.pass(ctx, now); err != nil {
		return 0, err
	}
	before, err := l.process.CPU()
	if err != nil {
		return 0, err
	}
	sent, err := l.generator.run(ctx, points)
	if err != nil {
		return 0, err
	}
	after, err := l.process.CPU()
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(sent), nil
}

func (b *bench) ingestRows(shape ingestShape, servers []loaded, perPoint [][]float64) []report.Row {
	const section = "Ingest"
	rows := make([]report.Row, 0, len(servers)+2)
	for i, server := range servers {
		rows = append(rows, report.Row{
			Section: section,
			What:    shape.name + ": " + server.name,
			Value:   report.Median(perPoint[i]),
			Unit:    "ns/point",
			Runs:    perPoint[i],
			Note:    fmt.Sprintf("%d points a round, %d series", shape.points, b.ingestSeries),
		})
	}
	for i, limit := range map[string][]*report.Bar{
		"sidecar": {b.bar(1.20), nil},
		"gateway": {nil, b.bar(0.22)},
	}[shape.name] {
		ratios := report.Ratios(perPoint[2], perPoint[i])
		rows = append(rows, report.Row{
			Section: section,
			What:    fmt.Sprintf("%s: %s / %s", shape.name, product, servers[i].name),
			Value:   report.Median(ratios),
			Runs:    ratios,
			Bar:     limit,
		})
	}
	return rows
}
