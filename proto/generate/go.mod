module github.com/keda-otel-scaler/keda-otel-scaler/proto/generate

go 1.26.7

require (
	github.com/bufbuild/protocompile v0.14.1
	google.golang.org/protobuf v1.36.12
)

require golang.org/x/sync v0.24.0 // indirect
