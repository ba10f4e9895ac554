package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/config"
)

// listeners are the program's sockets, all open. admission is nil without a webhook.
type listeners struct {
	otlp, otlpHTTP, keda, http, telemetry, admission net.Listener
}

// listen opens all sockets or none.
func listen(ctx context.Context, cfg config.Config) (_ *listeners, err error) {
	l := &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	for _, socket := range []struct {
		flag, address string
		to            *net.Listener
	}{
		{"otlp-grpc-address", cfg.OTLPGRPCAddress, &l.otlp},
		{"otlp-http-address", cfg.OTLPHTTPAddress, &l.otlpHTTP},
		{"keda-address", cfg.KEDAAddress, &l.keda},
		{"http-address", cfg.HTTPAddress, &l.http},
		{"telemetry-address", cfg.TelemetryAddress, &l.telemetry},
		{"admission-address", cfg.AdmissionAddress, &l.admission},
	} {
		if socket.address == "" {
			continue // only the webhook's may be
		}
		if *socket.to, err = (&net.ListenConfig{}).Listen(ctx, "tcp", socket.address); err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.Setting(socket.flag, socket.address), err)
		}
	}
	return l, nil
}

// bound bounds the connections of all. Listeners for OTLP, which strangers may
// reach, give way when memory is short; those that KEDA and people use don't.
func (l *listeners) bound(cfg config.Config, to *connections, m *memory) {
	l.otlp = to.bound(l.otlp, "otlp-grpc", cfg.MaxConnections, m.tight, m.spent, m.arrived)
	l.otlpHTTP = to.bound(l.otlpHTTP, "otlp-http", cfg.MaxConnections, m.tight, nil, nil)
	l.keda = to.bound(l.keda, "keda-grpc", otherConnections, nil, nil, nil)
	l.http = to.bound(l.http, "http", otherConnections, nil, nil, nil)
	l.telemetry = to.bound(l.telemetry, "telemetry", otherConnections, nil, nil, nil)
	if l.admission != nil {
		l.admission = to.bound(l.admission, "admission", otherConnections, nil, nil, nil)
	}
}

func (l *listeners) close() {
	for _, listener := range []net.Listener{l.otlp, l.otlpHTTP, l.keda, l.http, l.telemetry, l.admission} {
		if listener != nil {
			_ = listener.Close() // its server has closed it already, or nothing came in yet
		}
	}
}

func (l *listeners) addresses() Addresses {
	a := Addresses{
		OTLPGRPC: l.otlp.Addr(), OTLPHTTP: l.otlpHTTP.Addr(), KEDAGRPC: l.keda.Addr(),
		HTTP: l.http.Addr(), Telemetry: l.telemetry.Addr(),
	}
	if l.admission != nil {
		a.Admission = l.admission.Addr()
	}
	return a
}

// log writes the lines by which a harness that asked for port 0 finds the
// servers.
func (l *listeners) log(logger *slog.Logger) {
	a := l.addresses()
	logger.Info("listening", "server", "otlp-grpc", "address", a.OTLPGRPC.String())
	logger.Info("listening", "server", "otlp-http", "address", a.OTLPHTTP.String())
	logger.Info("listening", "server", "keda-grpc", "address", a.KEDAGRPC.String())
	logger.Info("listening", "server", "http", "address", a.HTTP.String())
	logger.Info("listening", "server", "telemetry", "address", a.Telemetry.String())
	if a.Admission != nil {
		logger.Info("listening", "server", "admission", "address", a.Admission.String())
	}
}
