{{- define "agent.labels" -}}
app.kubernetes.io/name: aquifer-agent
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: aquifer
{{- end }}
{{- define "agent.joinSecret" -}}
{{ .Values.joinSecret | default (printf "%s-join" .Release.Name) }}
{{- end }}
