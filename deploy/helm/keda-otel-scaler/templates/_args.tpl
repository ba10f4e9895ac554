{{/* The program's flags, from the values. */}}
{{- define "keda-otel-scaler.args" -}}
{{- $settings := .Values.settings }}
{{- $store := $settings.metricStore }}
- --otlp-grpc-address=:{{ .Values.service.otlpReceiverPort }}
- --otlp-http-address=:{{ .Values.service.otlpHttpPort }}
- --keda-address=:{{ .Values.service.kedaExternalScalerPort }}
- --http-address=:{{ $settings.restApiPort }}
- --telemetry-address=:{{ $settings.internalMetricsPort }}
- --retention={{ int64 $store.retentionSeconds }}s
{{- with $store.maxRetention }}
- --max-retention={{ . }}
{{- end }}
{{- with $store.lookback }}
- --lookback={{ . }}
{{- end }}
- --warm-up={{ $store.warmUp }}
- --max-series={{ int64 $store.maxSeries }}
- --max-series-per-metric={{ int64 $store.maxSeriesPerMetric }}
{{- include "keda-otel-scaler.missingArgs" $store }}
{{- with $settings.enforceNamespaceLabel }}
- --enforce-namespace-label={{ . }}
{{- end }}
{{- if $settings.snapshot.enabled }}
- --snapshot-path={{ include "keda-otel-scaler.snapshotPath" . }}/snapshot
- --snapshot-interval={{ $settings.snapshot.interval }}
- --snapshot-max-bytes={{ int64 $settings.snapshot.maxBytes }}
{{- end }}
{{- include "keda-otel-scaler.accessArgs" $settings }}
{{- include "keda-otel-scaler.webhookArgs" . }}
{{- with $settings.tracesEndpoint }}
- --traces-endpoint={{ . }}
{{- end }}
- --log-level={{ regexMatch "^[0-9]+$" (toString $settings.logs.logLvl) | ternary "debug" $settings.logs.logLvl }}
- --log-format={{ $settings.logs.format }}
- --shutdown-timeout={{ $settings.shutdownTimeout }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The answer without data. otel-add-on's defaults, false and 0, are in every copy
of its values and no user chose them: taken at their word, they would turn every
hold into a zero.
*/}}
{{- define "keda-otel-scaler.missingArgs" -}}
{{- $value := float64 .valueIfNotFound }}
{{- if .onMissing }}
- --on-missing={{ .onMissing }}
{{- else if .errIfNotFound }}
- --on-missing=error
{{- else if ne $value 0.0 }}
- --on-missing=value
{{- end }}
{{- if and (ne $value 0.0) (not .errIfNotFound) (has .onMissing (list "" "value")) }}
- --value-if-not-found={{ $value }}
{{- end }}
{{- end }}

{{/* TLS and tokens. The peer has OTLP over gRPC alone; left open, ours over HTTP would be a way around it. */}}
{{- define "keda-otel-scaler.accessArgs" -}}
{{- $tls := .tls }}
{{- range $flag, $files := dict "otlp-grpc" $tls "otlp-http" $tls "keda" $tls.keda "http" $tls.http }}
{{- if and (dig "enabled" true $files) (or $files.certFile $tls.certFile) }}
- --{{ $flag }}-tls-cert-file={{ $files.certFile | default $tls.certFile }}
- --{{ $flag }}-tls-key-file={{ $files.keyFile | default $tls.keyFile }}
{{- with $files.caFile }}
- --{{ $flag }}-tls-client-ca-file={{ . }}
{{- end }}
- --{{ $flag }}-tls-min-version={{ $tls.minVersion }}
{{- end }}
{{- end }}
{{- range $name, $token := .tokens }}
{{- if $token.secretName }}
- --{{ $name }}-token-file={{ include "keda-otel-scaler.tokenPath" $name }}/{{ $token.key }}
{{- end }}
{{- end }}
- --tls-reload-interval={{ $tls.reloadInterval }}
{{- end }}

{{- define "keda-otel-scaler.webhookArgs" -}}
{{- if .Values.webhook.enabled }}
{{- $path := ternary (include "keda-otel-scaler.certificatePath" .) (include "keda-otel-scaler.webhookPath" .) (eq (include "keda-otel-scaler.webhookTLS" .) "cert-manager") }}
- --admission-address=:{{ .Values.webhook.port }}
- --admission-service={{ include "keda-otel-scaler.fullname" . }}
- --admission-tls-cert-file={{ $path }}/tls.crt
- --admission-tls-key-file={{ $path }}/tls.key
- --admission-tls-min-version={{ .Values.settings.tls.minVersion }}
{{- end }}
{{- end }}

{{/* Where the webhook's certificate is from: the user's Secret, cert-manager's for the Service, or one that Helm makes. */}}
{{- define "keda-otel-scaler.webhookTLS" -}}
{{- if .Values.webhook.secretName }}secret{{ else if .Values.settings.tls.certificate.enabled }}cert-manager{{ else }}helm{{ end }}
{{- end }}

{{- define "keda-otel-scaler.tokenPath" -}}
/etc/keda-otel-scaler/tokens/{{ . }}
{{- end }}
