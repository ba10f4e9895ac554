package main

import (
	"context"
	"log/slog"
	"net"
	"os"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// The reference servers: what this binary serves when started with one of these
// as its first argument, and as what it says it listens.
const (
	bytesServer    = "serve-bytes"
	pdataServer    = "serve-pdata"
	constantServer = "serve-constant"
)

// maxMessage is the product's default bound of a request.
const maxMessage = 16 << 20

var references = map[string]func() *grpc.Server{
	bytesServer: func() *grpc.Server {
		s := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.ForceServerCodecV2(serverBytes{}))
		s.RegisterService(&bytesService, nil)
		return s
	},
	pdataServer: func() *grpc.Server {
		s := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
		pmetricotlp.RegisterGRPCServer(s, &dropper{})
		return s
	},
	constantServer: func() *grpc.Server {
		s := grpc.NewServer()
		externalscaler.RegisterExternalScalerServer(s, constant{})
		return s
	},
}

// serveReference serves until the process is killed.
func serveReference(name string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	slog.New(slog.NewTextHandler(os.Stderr, nil)).Info("listening", "server", name, "address", l.Addr().String())
	return references[name]().Serve(l)
}

// received is a request of which nobody wants to know anything.
type received struct{ size int }

// serverBytes is the codec of a server that decodes nothing.
type serverBytes struct{}

func (serverBytes) Name() string { return "proto" }

// Marshal answers with an empty message: OTLP's full success.
func (serverBytes) Marshal(any) (mem.BufferSlice, error) { return nil, nil }

func (serverBytes) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*received).size = data.Len()
	return nil
}

const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

var bytesService = grpc.ServiceDesc{
	ServiceName: "opentelemetry.proto.collector.metrics.v1.MetricsService",
	Methods: []grpc.MethodDesc{{
		MethodName: "Export",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // grpc.MethodHandler's order
			r := &received{}
			return r, decode(r)
		},
	}},
}

// dropper takes what pdata has decoded and keeps nothing.
type dropper struct {
	pmetricotlp.UnimplementedGRPCServer
}

func (*dropper) Export(context.Context, pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	return pmetricotlp.NewExportResponse(), nil
}

// constant answers KEDA without looking at anything.
type constant struct {
	externalscaler.UnimplementedExternalScalerServer
}

func (constant) GetMetrics(_ context.Context, r *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	return &externalscaler.GetMetricsResponse{MetricValues: []*externalscaler.MetricValue{
		{MetricName: r.GetMetricName(), MetricValue: 7, MetricValueFloat: 7},
	}}, nil
}
