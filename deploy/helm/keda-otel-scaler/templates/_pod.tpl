{{- define "keda-otel-scaler.env" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString }}
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

{{- define "keda-otel-scaler.volumes" -}}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "keda-otel-scaler.volumeMounts" -}}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
