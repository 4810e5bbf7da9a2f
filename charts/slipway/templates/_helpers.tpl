{{/* Refuses values that a chart of before has left behind. Included by each template that would fail without a word on the cure:
which is rendered first, nobody knows. */}}
{{- define "slipway.complete" -}}
{{- if not (and .Values.caBundle .Values.networkPolicy .Values.podMonitor .Values.webhook.service) -}}
{{- fail "values of this chart are missing: helm upgrade --reuse-values leaves out the defaults of what is new; use --reset-then-reuse-values" -}}
{{- end -}}
{{- end -}}

{{/* The name of everything in the namespace: the release's, with the chart's unless it is part of it. A release may have dots in its
name, a Service may not. */}}
{{- define "slipway.fullname" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if contains .Chart.Name $name -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" ($name | trunc 44 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* Bytes of a size such as 512Ki. */}}
{{- define "slipway.bytes" -}}
{{- $unit := regexFind "[KMG]i$" . -}}
{{- mul (trimSuffix $unit . | int64) (get (dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824) $unit) -}}
{{- end -}}

{{/* A size that is no larger than the operator takes: it would not start. The arguments are the value's name, the value, the
largest, and what that is. */}}
{{- define "slipway.size" -}}
{{- $name := index . 0 -}}{{- $size := index . 1 -}}{{- $most := index . 2 -}}
{{- if gt (include "slipway.bytes" $size | int64) (include "slipway.bytes" $most | int64) -}}
{{- fail (printf "%s (%s) must be at most %s%s" $name $size (index . 3) $most) -}}
{{- end -}}
{{- $size | quote -}}
{{- end -}}

{{- define "slipway.selectorLabels" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What the operator's Pods are found by. */}}
{{- define "slipway.operatorLabels" -}}
{{ include "slipway.selectorLabels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "slipway.labels" -}}
{{ include "slipway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "slipway.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The host of webhook.publicURL, for what routes to it. */}}
{{- define "slipway.host" -}}
{{- if not .Values.webhook.publicURL -}}
{{- fail "webhook.publicURL must be set for webhook.ingress and webhook.httpRoute: they take the host from it" -}}
{{- end -}}
{{- (urlParse .Values.webhook.publicURL).host | splitList ":" | first -}}
{{- end -}}

{{/* OpenShift's admission gives ids from the namespace's range, and refuses others. */}}
{{- define "slipway.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- range list "runAsUser" "runAsGroup" -}}
{{- if eq (get $context . | toString) "65532" -}}{{- $context = omit $context . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* Labels of the Pods. */}}
{{- define "slipway.podLabels" -}}
{{- $own := include "slipway.operatorLabels" . | fromYaml -}}
{{- range $name, $_ := .Values.podLabels -}}
{{- if hasKey $own $name -}}
{{- fail (printf "podLabels must not set %s: the Deployment finds its Pods by it" $name) -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge $own .Values.podLabels) -}}
{{- end -}}

{{/* What a container listens at; the argument is the context and the port. */}}
{{- define "slipway.listen" -}}
{{- $address := (index . 0).Values.listenAddress -}}
{{- printf "%s:%d" (contains ":" $address | ternary (printf "[%s]" $address) $address) (index . 1) -}}
{{- end -}}

{{/* The volume with caBundle, or nothing. */}}
{{- define "slipway.caBundle" -}}
{{- with .Values.caBundle -}}
{{- if and .configMapRef.name .secretRef.name -}}
{{- fail "caBundle must name a ConfigMap or a Secret, not both" -}}
{{- end -}}
{{- if .configMapRef.name -}}
configMap:
  name: {{ .configMapRef.name }}
  items: [{key: {{ .configMapRef.key | quote }}, path: ca.crt}]
{{- else if .secretRef.name -}}
secret:
  secretName: {{ .secretRef.name }}
  items: [{key: {{ .secretRef.key | quote }}, path: ca.crt}]
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Variables of both containers. */}}
{{- define "slipway.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if eq .Values.scope "Namespace" }}
- name: SLIPWAY_NAMESPACE
  value: {{ .Release.Namespace | quote }}
{{- end }}
- name: RUST_LOG
  value: {{ .Values.log.filter | quote }}
- name: SLIPWAY_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A container's probes; the argument is the name of its port. */}}
{{- define "slipway.probes" -}}
livenessProbe:
  httpGet:
    path: /livez
    port: {{ . }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: {{ . }}
  periodSeconds: 2
  timeoutSeconds: 5
{{- end -}}
