{{- define "networking-ipv6.name" -}}
gardener-extension-networking-ipv6
{{- end -}}

{{/* Labels that select the pods; they never change. */}}
{{- define "networking-ipv6.selector" -}}
app.kubernetes.io/name: {{ include "networking-ipv6.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "networking-ipv6.labels" -}}
{{ include "networking-ipv6.selector" . }}
{{- end -}}

{{- define "networking-ipv6.image" -}}
{{- if hasPrefix "sha256:" .Values.image.tag -}}
{{ .Values.image.repository }}@{{ .Values.image.tag }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* The component configuration. Only what is set is written, so that the program's defaults hold for the rest. */}}
{{- define "networking-ipv6.config" -}}
apiVersion: ipv6.networking.extensions.config.gardener.cloud/v1alpha1
kind: ControllerConfiguration
{{- with .Values.config.clientConnection }}
clientConnection:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.config.gardenID | default .Values.gardener.garden.clusterIdentity }}
gardenID: {{ . | quote }}
{{- end }}
{{- with .Values.config.seedName | default .Values.gardener.seed.name }}
seedName: {{ . | quote }}
{{- end }}
{{- with include "networking-ipv6.pools" . | fromYamlArray }}
pools:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.config.backends }}
backends:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.config.quarantine }}
quarantine: {{ . }}
{{- end }}
{{- with .Values.config.featureGates }}
featureGates:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The pools of all seeds, and those of this seed, as a YAML list. */}}
{{- define "networking-ipv6.pools" -}}
{{- $seed := .Values.config.seedName | default .Values.gardener.seed.name | default "" -}}
{{- concat .Values.config.pools (get .Values.config.poolsPerSeed $seed | default list) | toYaml -}}
{{- end -}}

{{/* YAML takes an unquoted on or off for a truth value. */}}
{{- define "networking-ipv6.garbageCollection" -}}
{{- $mode := .Values.controllers.reservation.garbageCollection -}}
{{- if kindIs "bool" $mode }}{{ ternary "on" "off" $mode }}{{ else }}{{ $mode }}{{ end -}}
{{- end -}}
