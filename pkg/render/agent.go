// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"path"

	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/resourcemanager/controller/garbagecollector/references"
	kubernetesutils "github.com/gardener/gardener/pkg/utils/kubernetes"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

func agentSelector() map[string]string { return map[string]string{"app": AgentName} }

// agentLabels mark what Gardener's care controller watches as a part of the shoot's system.
func agentLabels() map[string]string {
	return map[string]string{
		"app":                       AgentName,
		"origin":                    "gardener",
		v1beta1constants.GardenRole: v1beta1constants.GardenRoleSystemComponent,
	}
}

func agentObjects(in Input) ([]client.Object, error) {
	config, err := agentconfig.Encode(in.Agent)
	if err != nil {
		return nil, err
	}
	configMap := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: AgentName + "-config", Namespace: metav1.NamespaceSystem, Labels: agentLabels()},
		Data:       map[string]string{path.Base(agentconfig.ConfigFile): string(config)},
	}
	// A new configuration is a new ConfigMap: the agents change over pod by pod, and a rollback finds the old one.
	if err := kubernetesutils.MakeUnique(configMap); err != nil {
		return nil, fmt.Errorf("name of the ConfigMap: %w", err)
	}
	daemonSet := agentDaemonSet(in.AgentImage, configMap.Name)
	if err := references.InjectAnnotations(daemonSet); err != nil {
		return nil, fmt.Errorf("references of the DaemonSet: %w", err)
	}

	serviceAccount := &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   metav1.ObjectMeta{Name: AgentName, Namespace: metav1.NamespaceSystem, Labels: agentLabels()},
		AutomountServiceAccountToken: ptr.To(false), // the DaemonSet's pods ask for it
	}
	objects := append([]client.Object{serviceAccount}, agentPermissions(in.Agent)...)
	objects = append(objects, configMap, daemonSet)
	if in.ShootVPA {
		objects = append(objects, agentVPA())
	}
	return objects, nil
}

func agentDaemonSet(image, configMap string) *appsv1.DaemonSet {
	labels := agentLabels()
	// Nodes keep a taint until the pods of DaemonSets with this label are ready on them.
	labels[v1beta1constants.LabelNodeCriticalComponent] = "true"
	return &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Name: AgentName, Namespace: metav1.NamespaceSystem, Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			RevisionHistoryLimit: ptr.To[int32](2),
			Selector:             &metav1.LabelSelector{MatchLabels: agentSelector()},
			// A node without an agent loses no packet, it only cannot start pods.
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromString("25%"))},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					PriorityClassName:            "system-node-critical",
					ServiceAccountName:           AgentName,
					AutomountServiceAccountToken: ptr.To(true),
					HostNetwork:                  true,
					// No pod network, no cluster DNS: the agent makes the former, and needs none of the latter.
					DNSPolicy:                     corev1.DNSDefault,
					TerminationGracePeriodSeconds: ptr.To[int64](30),
					SecurityContext: &corev1.PodSecurityContext{
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Tolerations: []corev1.Toleration{
						{Effect: corev1.TaintEffectNoSchedule, Operator: corev1.TolerationOpExists},
						{Effect: corev1.TaintEffectNoExecute, Operator: corev1.TolerationOpExists},
					},
					Containers: []corev1.Container{agentContainer(image)},
					Volumes: []corev1.Volume{
						{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
							LocalObjectReference: corev1.LocalObjectReference{Name: configMap},
						}}},
						hostPath("cni-bin", agentconfig.CNIBinDir),
						hostPath("cni-conf", agentconfig.CNIConfDir),
						hostPath("run", agentconfig.RunDir),
						hostPath("state", agentconfig.StateDir),
					},
				},
			},
		},
	}
}

func agentContainer(image string) corev1.Container {
	probe := func(path string) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Host: "::1", Path: path, Port: intstr.FromInt32(agentconfig.HTTPPort), Scheme: corev1.URISchemeHTTP,
		}}
	}
	return corev1.Container{
		Name:            AgentName,
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{
			"--config=" + agentconfig.ConfigFile,
			"--http-address=" + agentconfig.HTTPAddress,
		},
		Env: []corev1.EnvVar{{Name: "NODE_NAME", ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nodeName"},
		}}},
		LivenessProbe:  &corev1.Probe{ProbeHandler: probe("/healthz"), InitialDelaySeconds: 15, PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6},
		ReadinessProbe: &corev1.Probe{ProbeHandler: probe("/readyz"), PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 3},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("48Mi"),
		}},
		// Privileged because the agent writes /proc/sys/net, which is read-only otherwise, and enters pods' network namespaces.
		SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true), ReadOnlyRootFilesystem: ptr.To(true)},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "config", MountPath: path.Dir(agentconfig.ConfigFile), ReadOnly: true},
			{Name: "cni-bin", MountPath: agentconfig.CNIBinDir},
			{Name: "cni-conf", MountPath: agentconfig.CNIConfDir},
			{Name: "run", MountPath: agentconfig.RunDir},
			{Name: "state", MountPath: agentconfig.StateDir},
		},
	}
}

func hostPath(name, at string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		HostPath: &corev1.HostPathVolumeSource{Path: at, Type: ptr.To(corev1.HostPathDirectoryOrCreate)},
	}}
}

func agentVPA() *vpaautoscalingv1.VerticalPodAutoscaler {
	return verticalPodAutoscaler(AgentName, metav1.NamespaceSystem, agentLabels(), autoscalingv1.CrossVersionObjectReference{
		APIVersion: "apps/v1", Kind: "DaemonSet", Name: AgentName,
	}, "32Mi")
}

func verticalPodAutoscaler(name, namespace string, labels map[string]string, target autoscalingv1.CrossVersionObjectReference, minMemory string) *vpaautoscalingv1.VerticalPodAutoscaler {
	return &vpaautoscalingv1.VerticalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: vpaautoscalingv1.SchemeGroupVersion.String(), Kind: "VerticalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec: vpaautoscalingv1.VerticalPodAutoscalerSpec{
			TargetRef:    &target,
			UpdatePolicy: &vpaautoscalingv1.PodUpdatePolicy{UpdateMode: ptr.To(vpaautoscalingv1.UpdateModeInPlaceOrRecreate)},
			ResourcePolicy: &vpaautoscalingv1.PodResourcePolicy{ContainerPolicies: []vpaautoscalingv1.ContainerResourcePolicy{{
				ContainerName:    vpaautoscalingv1.DefaultContainerResourcePolicy,
				ControlledValues: ptr.To(vpaautoscalingv1.ContainerControlledValuesRequestsOnly),
				MinAllowed:       corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(minMemory)},
			}}},
		},
	}
}
