{{- define "driftline.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "driftline.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "driftline.labels" -}}
{{ include "driftline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "driftline.secret" -}}
{{- .Values.secret.existing | default (include "driftline.name" .) -}}
{{- end -}}

{{/* The configuration with what the chart decides. */}}
{{- define "driftline.config" -}}
{{- $http := dict "listen" "0.0.0.0:9464" "token" "${DRIFTLINE_TOKEN}" -}}
{{- with .Values.http.externalUrl }}{{ $_ := set $http "external_url" . }}{{ end -}}
{{- merge (dict "state" "/var/lib/driftline" "http" $http) .Values.config | toYaml -}}
{{- end -}}
