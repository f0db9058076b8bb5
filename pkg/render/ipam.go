// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"maps"

	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	"github.com/gardener/gardener/pkg/resourcemanager/controller/garbagecollector/references"
	gutil "github.com/gardener/gardener/pkg/utils/gardener"
	kubernetesutils "github.com/gardener/gardener/pkg/utils/kubernetes"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// Files and ports of ipv6-ipam-controller.
const (
	ipamConfigDir = "/etc/ipv6-ipam-controller"
	ipamConfigKey = "config.json"
	// ipamJournal is the ConfigMap in the shoot in which the controller keeps what it decided about nodes; loadBalancerJournal: about
	// Services.
	ipamJournal         = "ipv6-ipam-journal"
	loadBalancerJournal = "ipv6-load-balancer-journal"
	ipamMetricsPort     = 8080
	ipamHealthPort      = 8081
)

// IPAMSelector finds the objects of ipv6-ipam-controller in the shoot's namespace in the seed.
func IPAMSelector() map[string]string { return map[string]string{"app": IPAMName} }

func ipamLabels() map[string]string {
	return map[string]string{"app": IPAMName, v1beta1constants.GardenRole: v1beta1constants.GardenRoleControlPlane}
}

// ipamShootObjects let ipv6-ipam-controller do its work in the shoot and nothing else.
func ipamShootObjects(config nodeprefix.Config) []client.Object {
	labels := agentLabels()
	labels["app"] = IPAMName
	return ipamPermissions(config, labels)
}

func ipamSeedObjects(in Input) ([]client.Object, error) {
	config, err := nodeprefix.Encode(in.NodePrefixes)
	if err != nil {
		return nil, err
	}
	configMap := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: IPAMName + "-config", Namespace: in.Namespace, Labels: ipamLabels()},
		Data:       map[string]string{ipamConfigKey: string(config)},
	}
	if err := kubernetesutils.MakeUnique(configMap); err != nil {
		return nil, fmt.Errorf("name of the ConfigMap: %w", err)
	}
	deployment, err := ipamDeployment(in, configMap.Name)
	if err != nil {
		return nil, err
	}
	service, err := ipamService(in.Namespace)
	if err != nil {
		return nil, err
	}

	objects := []client.Object{
		&corev1.ServiceAccount{
			TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta:                   metav1.ObjectMeta{Name: IPAMName, Namespace: in.Namespace, Labels: ipamLabels()},
			AutomountServiceAccountToken: ptr.To(false), // of the seed's API it needs nothing
		},
		configMap,
		service,
		&policyv1.PodDisruptionBudget{
			TypeMeta:   metav1.TypeMeta{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget"},
			ObjectMeta: metav1.ObjectMeta{Name: IPAMName, Namespace: in.Namespace, Labels: ipamLabels()},
			Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable:             ptr.To(intstr.FromInt32(1)),
				Selector:                   &metav1.LabelSelector{MatchLabels: IPAMSelector()},
				UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow),
			},
		},
		deployment,
	}
	objects = append(objects, ipamMonitoring(in.Namespace)...)
	if in.SeedVPA {
		objects = append(objects, verticalPodAutoscaler(IPAMName, in.Namespace, ipamLabels(), autoscalingv1.CrossVersionObjectReference{
			APIVersion: "apps/v1", Kind: "Deployment", Name: IPAMName,
		}, "32Mi"))
	}
	return objects, nil
}

// ipamService exists for the seed's Prometheus, and for the network policy that lets it in.
func ipamService(namespace string) (*corev1.Service, error) {
	service := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: IPAMName, Namespace: namespace, Labels: ipamLabels()},
		Spec: corev1.ServiceSpec{
			Type:      corev1.ServiceTypeClusterIP,
			ClusterIP: corev1.ClusterIPNone,
			Selector:  IPAMSelector(),
			Ports:     []corev1.ServicePort{{Name: "metrics", Port: ipamMetricsPort, TargetPort: intstr.FromInt32(ipamMetricsPort), Protocol: corev1.ProtocolTCP}},
		},
	}
	if err := gutil.InjectNetworkPolicyAnnotationsForScrapeTargets(service, networkingv1.NetworkPolicyPort{
		Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(intstr.FromInt32(ipamMetricsPort)),
	}); err != nil {
		return nil, fmt.Errorf("network policy of the Service: %w", err)
	}
	return service, nil
}

func ipamDeployment(in Input, configMap string) (*appsv1.Deployment, error) {
	labels := ipamLabels()
	// Gardener adds replicas and topology constraints to what it finds by this label.
	labels[resourcesv1alpha1.HighAvailabilityConfigType] = resourcesv1alpha1.HighAvailabilityConfigTypeController

	podLabels := ipamLabels()
	maps.Copy(podLabels, map[string]string{
		v1beta1constants.LabelNetworkPolicyToDNS:                                    v1beta1constants.LabelNetworkPolicyAllowed,
		gutil.NetworkPolicyLabel(v1beta1constants.DeploymentNameKubeAPIServer, 443): v1beta1constants.LabelNetworkPolicyAllowed,
	})

	deployment := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: IPAMName, Namespace: in.Namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas:             ptr.To(in.Replicas),
			RevisionHistoryLimit: ptr.To[int32](2),
			Selector:             &metav1.LabelSelector{MatchLabels: IPAMSelector()},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels},
				Spec: corev1.PodSpec{
					PriorityClassName:            v1beta1constants.PriorityClassNameShootControlPlane300,
					ServiceAccountName:           IPAMName,
					AutomountServiceAccountToken: ptr.To(false),
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532), RunAsGroup: ptr.To[int64](65532), FSGroup: ptr.To[int64](65532),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{ipamContainer(in.IPAMImage)},
					Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
						LocalObjectReference: corev1.LocalObjectReference{Name: configMap},
					}}}},
				},
			},
		},
	}
	if err := gutil.InjectGenericKubeconfig(deployment, in.GenericTokenKubeconfig, in.AccessSecret); err != nil {
		return nil, fmt.Errorf("kubeconfig of the Deployment: %w", err)
	}
	if err := references.InjectAnnotations(deployment); err != nil {
		return nil, fmt.Errorf("references of the Deployment: %w", err)
	}
	return deployment, nil
}

func ipamContainer(image string) corev1.Container {
	probe := func(path string) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(ipamHealthPort), Scheme: corev1.URISchemeHTTP}}
	}
	return corev1.Container{
		Name:            IPAMName,
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{
			"--config=" + ipamConfigDir + "/" + ipamConfigKey,
			"--kubeconfig=" + gutil.PathGenericKubeconfig,
			fmt.Sprintf("--metrics-bind-address=:%d", ipamMetricsPort),
			fmt.Sprintf("--health-bind-address=:%d", ipamHealthPort),
		},
		Ports: []corev1.ContainerPort{
			{Name: "metrics", ContainerPort: ipamMetricsPort, Protocol: corev1.ProtocolTCP},
			{Name: "health", ContainerPort: ipamHealthPort, Protocol: corev1.ProtocolTCP},
		},
		LivenessProbe:  &corev1.Probe{ProbeHandler: probe("/healthz"), InitialDelaySeconds: 15, PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 5},
		ReadinessProbe: &corev1.Probe{ProbeHandler: probe("/readyz"), PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 3},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("48Mi"),
		}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false),
			ReadOnlyRootFilesystem:   ptr.To(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: ipamConfigDir, ReadOnly: true}},
	}
}
