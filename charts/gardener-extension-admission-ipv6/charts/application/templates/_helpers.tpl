{{- define "admission-ipv6.application.name" -}}
gardener-extension-admission-ipv6
{{- end -}}

{{- define "admission-ipv6.application.labels" -}}
app.kubernetes.io/name: {{ include "admission-ipv6.application.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
