{{- define "keda-otel-scaler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "keda-otel-scaler.fullname" -}}
{{- $name := include "keda-otel-scaler.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "keda-otel-scaler.namespace" -}}
{{- .Values.namespace | default .Release.Namespace }}
{{- end }}

{{/* The name of what is in no namespace. */}}
{{- define "keda-otel-scaler.clusterName" -}}
{{- printf "%s.%s" (include "keda-otel-scaler.fullname" .) (include "keda-otel-scaler.namespace" .) }}
{{- end }}

{{- define "keda-otel-scaler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "keda-otel-scaler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "keda-otel-scaler.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "keda-otel-scaler.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The metadata that all resources begin with. */}}
{{- define "keda-otel-scaler.metadata" -}}
name: {{ include "keda-otel-scaler.fullname" . }}
namespace: {{ include "keda-otel-scaler.namespace" . }}
labels:
  {{- include "keda-otel-scaler.labels" . | nindent 2 }}
{{- end }}

{{- define "keda-otel-scaler.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "keda-otel-scaler.fullname" .) "default") }}
{{- end }}

{{- define "keda-otel-scaler.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* A Kubernetes quantity in bytes. */}}
{{- define "keda-otel-scaler.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $number := regexFind "^[0-9.]+" . }}
{{- $unit := trimPrefix $number . }}
{{- if or (eq $number "") (not (hasKey $units $unit)) }}
{{- fail (printf "resources.limits.memory: %s: want a quantity such as 1Gi" .) }}
{{- end }}
{{- mulf (float64 $number) (get $units $unit) | int64 }}
{{- end }}
