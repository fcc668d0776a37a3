{{- define "schema-operator.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "schema-operator.account" -}}
{{- .Values.serviceAccount.name | default (include "schema-operator.name" .) -}}
{{- end }}

{{- define "schema-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* What chooses the operator's pods; can't be changed in a Deployment. */ -}}
{{- define "schema-operator.selector" -}}
app.kubernetes.io/name: schema-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* What Helm's users expect on everything. */ -}}
{{- define "schema-operator.release" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "schema-operator.labels" -}}
app.kubernetes.io/name: schema-operator
{{ include "schema-operator.release" . }}
{{- end }}

{{- /* Quantities as a flag: cpu=50m,memory=64Mi. */ -}}
{{- define "schema-operator.quantities" -}}
{{- $words := list -}}
{{- range $resource, $quantity := . -}}
{{- $words = append $words (printf "%s=%v" $resource $quantity) -}}
{{- end -}}
{{- join "," $words -}}
{{- end }}

{{- /* The namespaces that it has rights in, as JSON; none where it has them everywhere. */ -}}
{{- define "schema-operator.namespaces" -}}
{{- if .Values.watch.allNamespaces -}}
{{- if .Values.watch.namespaces -}}
{{- fail "watch.namespaces are named, but watch.allNamespaces is true: set it to false" -}}
{{- end -}}
[]
{{- else -}}
{{- .Values.watch.namespaces | default (list .Release.Namespace) | toJson -}}
{{- end -}}
{{- end }}
