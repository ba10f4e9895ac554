package serve

import (
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/tap"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/access"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
	"github.com/keda-otel-scaler/keda-otel-scaler/internal/selfmetrics"
	"github.com/keda-otel-scaler/keda-otel-scaler/otlpreceiver"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// exportsPerConnection bounds the requests one sender has in flight; more wait
// at the sender. A collector sends ten at once, a mesh proxy joins several.
const exportsPerConnection = 256

// window is how many bytes a sender may have under way on a stream, and on a
// connection. It adds no bound of its own: each stream may send a whole request.
const window = 1 << 20

// callsPerConnection is the room that calls have beside KEDA's streams: the
// operator sends them all over one connection.
const callsPerConnection = 1000

// transport is what both gRPC servers have in common.
func transport(cfg config.Config, tls *access.TLS) []grpc.ServerOption {
	options := []grpc.ServerOption{
		// gRPC's default closes connections that ping more than every five
		// minutes or while idle, as collectors and KEDA are often told to.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		// A node that died says no goodbye; its connections go within a minute.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 40 * time.Second, Timeout: 20 * time.Second}),
		// Stopping waits for every accepted connection to say hello or run into
		// this, before it tells the others to finish: so they keep half.
		grpc.ConnectionTimeout(cfg.ShutdownTimeout / 2),
		// The default lets a peer send 16 MiB of headers with each call.
		grpc.MaxHeaderListSize(64 << 10),
		// Run returns when no handler uses the store any more.
		grpc.WaitForHandlers(true),
	}
	if tls != nil {
		options = append(options, grpc.Creds(tls.Credentials()))
	}
	return options
}

func newOTLPServer(cfg config.Config, gates *gates, calls *selfmetrics.GRPC, receiver *otlpreceiver.Receiver) *grpc.Server {
	options := append(transport(cfg, gates.otlp),
		grpc.MaxRecvMsgSize(cfg.MaxRequestBytes),
		grpc.MaxConcurrentStreams(exportsPerConnection),
		// gRPC's default begins at 64 KiB, a quarter of a gateway's request, and
		// pings the sender to see how far to go beyond. With these a gateway's push
		// takes 8% fewer reads and 14% fewer writes, a sidecar's 4% and 3%.
		grpc.InitialWindowSize(window),
		grpc.InitialConnWindowSize(window),
		// A new goroutine a request grows its stack each time, which a profile of
		// a sidecar's pushes showed as a twelfth of the CPU; these keep theirs.
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))), //nolint:gosec // a few
	)
	taps := []tap.ServerInHandle{receiver.Tap}
	if gates.otlpTokens != nil {
		taps = []tap.ServerInHandle{gates.otlpTokens.Tap, receiver.Tap} // who is a stranger is told nothing of our load
	}
	options = append(options, grpc.InTapHandle(endWithin(requestTimeout, taps...)))
	options = append(options, calls.Recovery()...)
	server := grpc.NewServer(append(options, otlpreceiver.ServerOptions()...)...)
	receiver.Register(server)
	return server
}

func newKEDAServer(cfg config.Config, gates *gates, calls *selfmetrics.GRPC, traces traces, answers *scaler.Server, state *state) *grpc.Server {
	register := func(s *grpc.Server) {
		answers.Register(s)
		grpc_health_v1.RegisterHealthServer(s, state.health)
		reflection.Register(s)
	}
	options := append(transport(cfg, gates.keda),
		// MaxStreams is bounded by Validate, so the sum fits.
		grpc.MaxConcurrentStreams(uint32(cfg.MaxStreams)+callsPerConnection), //nolint:gosec // see above
	)
	return calls.NewServer("keda", register, append(options, traces.options()...)...)
}
