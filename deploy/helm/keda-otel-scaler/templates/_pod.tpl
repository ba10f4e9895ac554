{{- define "keda-otel-scaler.env" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources }}
{{- $limit = kindIs "string" $limit | ternary $limit (int64 $limit | toString) }}
{{- if or $limit .Values.extraEnv }}
env:
  {{- with $limit }}
  - name: GOMEMLIMIT
    value: {{ div (mul (include "keda-otel-scaler.bytes" .) $.Values.goMemLimitPercent) 100 | quote }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
The Secrets that the pod mounts: volume, Secret and path of each. otel-add-on's
chart has no names for volumes; the index keeps two of one Secret apart.
*/}}
{{- define "keda-otel-scaler.secrets" -}}
{{- $tls := .Values.settings.tls }}
{{- range $i, $secret := $tls.secrets }}
- {volume: tls-{{ $i }}, secret: {{ $secret.name | quote }}, path: {{ $secret.mountPath | quote }}}
{{- end }}
{{- if $tls.certificate.enabled }}
- {volume: tls, secret: {{ include "keda-otel-scaler.certificateSecret" . }}, path: {{ include "keda-otel-scaler.certificatePath" . }}}
{{- end }}
{{- if and .Values.webhook.enabled (ne (include "keda-otel-scaler.webhookTLS" .) "cert-manager") }}
- {volume: webhook-tls, secret: {{ include "keda-otel-scaler.webhookSecret" . | quote }}, path: {{ include "keda-otel-scaler.webhookPath" . }}}
{{- end }}
{{- range $name, $token := .Values.settings.tokens }}
{{- with $token.secretName }}
- {volume: {{ $name }}-tokens, secret: {{ . | quote }}, path: {{ include "keda-otel-scaler.tokenPath" $name }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "keda-otel-scaler.certificatePath" -}}
/etc/keda-otel-scaler/tls
{{- end }}

{{- define "keda-otel-scaler.certificateSecret" -}}
{{ include "keda-otel-scaler.fullname" . | trunc 59 | trimSuffix "-" }}-tls
{{- end }}

{{- define "keda-otel-scaler.webhookPath" -}}
/etc/keda-otel-scaler/webhook-tls
{{- end }}

{{- define "keda-otel-scaler.webhookSecret" -}}
{{- if .Values.webhook.secretName }}
{{- .Values.webhook.secretName }}
{{- else }}
{{- include "keda-otel-scaler.fullname" . | trunc 51 | trimSuffix "-" }}-webhook-tls
{{- end }}
{{- end }}

{{- define "keda-otel-scaler.snapshotPath" -}}
/var/lib/keda-otel-scaler
{{- end }}

{{- define "keda-otel-scaler.volumes" -}}
{{- range include "keda-otel-scaler.secrets" . | fromYamlArray }}
- name: {{ .volume }}
  secret:
    secretName: {{ .secret }}
{{- end }}
{{- with .Values.settings.snapshot }}
{{- if .enabled }}
- name: snapshot
  emptyDir:
    # The file, the next one while it is written, and what a file system adds:
    # a pod whose emptyDir outgrows this is evicted.
    sizeLimit: {{ add (mul 2 (int64 .maxBytes)) 16777216 | quote }}
{{- end }}
{{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "keda-otel-scaler.volumeMounts" -}}
{{- range include "keda-otel-scaler.secrets" . | fromYamlArray }}
- name: {{ .volume }}
  mountPath: {{ .path }}
  readOnly: true
{{- end }}
{{- if .Values.settings.snapshot.enabled }}
- name: snapshot
  mountPath: {{ include "keda-otel-scaler.snapshotPath" . }}
{{- end }}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
