{{- define "admission-ipv6.runtime.name" -}}
gardener-extension-admission-ipv6
{{- end -}}

{{- define "admission-ipv6.runtime.labels" -}}
app.kubernetes.io/name: {{ include "admission-ipv6.runtime.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "admission-ipv6.runtime.image" -}}
{{- if hasPrefix "sha256:" .Values.image.tag -}}
{{ .Values.image.repository }}@{{ .Values.image.tag }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "admission-ipv6.runtime.leader-election-id" -}}
{{ include "admission-ipv6.runtime.name" . }}-leader-election
{{- end -}}
