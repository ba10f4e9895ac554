module github.com/keda-otel-scaler/keda-otel-scaler

go 1.26.0
