// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package render

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// shootPrometheus is the Prometheus of the shoot's control plane: its monitors and rules carry its name.
const shootPrometheus = "shoot"

// monitoringMeta names an object as Gardener names its own monitors and rules.
func monitoringMeta(namespace string) metav1.ObjectMeta {
	labels := ipamLabels()
	labels["prometheus"] = shootPrometheus
	return metav1.ObjectMeta{Name: shootPrometheus + "-" + IPAMName, Namespace: namespace, Labels: labels}
}

// ipamMonitoring are the scraping of ipv6-ipam-controller, and the alerts on what only a person can mend.
func ipamMonitoring(namespace string) []client.Object {
	return []client.Object{
		&monitoringv1.ServiceMonitor{
			TypeMeta:   metav1.TypeMeta{APIVersion: monitoringv1.SchemeGroupVersion.String(), Kind: monitoringv1.ServiceMonitorsKind},
			ObjectMeta: monitoringMeta(namespace),
			Spec: monitoringv1.ServiceMonitorSpec{
				Selector: metav1.LabelSelector{MatchLabels: IPAMSelector()},
				Endpoints: []monitoringv1.Endpoint{{
					Port: "metrics",
					MetricRelabelConfigs: []monitoringv1.RelabelConfig{{
						SourceLabels: []monitoringv1.LabelName{"__name__"}, Action: "keep", Regex: "^(ipv6_ipam_.+)$",
					}},
				}},
			},
		},
		&monitoringv1.PrometheusRule{
			TypeMeta:   metav1.TypeMeta{APIVersion: monitoringv1.SchemeGroupVersion.String(), Kind: monitoringv1.PrometheusRuleKind},
			ObjectMeta: monitoringMeta(namespace),
			Spec: monitoringv1.PrometheusRuleSpec{Groups: []monitoringv1.RuleGroup{{
				Name: IPAMName + ".rules",
				Rules: []monitoringv1.Rule{
					alert("IPv6NodesWithoutPodRange", "15m", "critical", `sum by (reason) (ipv6_ipam_nodes{reason!="Assigned"}) > 0`,
						"Nodes have no pod range, or a wrong one.",
						"{{ $value }} nodes for the reason {{ $labels.reason }}. No pod starts on those that have none. The nodes' condition PodCIDRsAssigned says more."),
					alert("IPv6NodePrefixesScarce", "15m", "warning",
						`min by (family) (ipv6_ipam_node_prefixes{state="free"} / ignoring(state) sum without (state) (ipv6_ipam_node_prefixes{state!="brought"})) < 0.1`,
						"Few node prefixes are left.",
						"{{ $value | humanizePercentage }} of the {{ $labels.family }} node prefixes are free. When none is left, new nodes cannot run pods."),
					alert("IPv6LoadBalancerPoolExhausted", "15m", "warning", `sum (ipv6_ipam_load_balancer_services{reason="PoolExhausted"}) > 0`,
						"Services of type LoadBalancer get no address.",
						"{{ $value }} Services wait for an address of a pool in which none is free. Add a prefix to the pool in the Shoot's networking.providerConfig."),
				},
			}}},
		},
	}
}

func alert(name string, after monitoringv1.Duration, severity, expression, summary, description string) monitoringv1.Rule {
	return monitoringv1.Rule{
		Alert:       name,
		Expr:        intstr.FromString(expression),
		For:         ptr.To(after),
		Labels:      map[string]string{"service": IPAMName, "severity": severity, "type": "seed", "visibility": "all"},
		Annotations: map[string]string{"summary": summary, "description": description},
	}
}

// OptionalSeedObjects name those of the seed's objects that MayBeMissing.
func OptionalSeedObjects(namespace string) []client.Object {
	name := func(group schema.GroupVersion, kind string, meta metav1.ObjectMeta) client.Object {
		object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: meta.Namespace, Name: meta.Name}}
		object.SetGroupVersionKind(group.WithKind(kind))
		return object
	}
	return []client.Object{
		name(vpaautoscalingv1.SchemeGroupVersion, "VerticalPodAutoscaler", metav1.ObjectMeta{Namespace: namespace, Name: IPAMName}),
		name(monitoringv1.SchemeGroupVersion, monitoringv1.ServiceMonitorsKind, monitoringMeta(namespace)),
		name(monitoringv1.SchemeGroupVersion, monitoringv1.PrometheusRuleKind, monitoringMeta(namespace)),
	}
}

// MayBeMissing tells whether a cluster can do without the object because it lacks the kind: nothing of the network depends on
// autoscaling and monitoring.
func MayBeMissing(object client.Object) bool {
	switch object.GetObjectKind().GroupVersionKind().Group {
	case monitoringv1.SchemeGroupVersion.Group, vpaautoscalingv1.SchemeGroupVersion.Group:
		return true
	}
	return false
}
