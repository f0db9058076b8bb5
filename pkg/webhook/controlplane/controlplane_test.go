// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMutateKubeControllerManager(t *testing.T) {
	tests := []struct {
		name                  string
		command, args         []string
		wantCommand, wantArgs []string
	}{
		{
			name:        "as Gardener writes it",
			command:     []string{"/usr/local/bin/kube-controller-manager", "--allocate-node-cidrs=true", "--cluster-cidr=2001:db8:1::/64", "--node-cidr-mask-size-ipv6=96", "--v=2"},
			wantCommand: []string{"/usr/local/bin/kube-controller-manager", "--allocate-node-cidrs=false", "--cluster-cidr=2001:db8:1::/64", "--node-cidr-mask-size-ipv6=96", "--v=2"},
		},
		{
			name:        "already off",
			command:     []string{"kube-controller-manager", "--allocate-node-cidrs=false"},
			wantCommand: []string{"kube-controller-manager", "--allocate-node-cidrs=false"},
		},
		{
			name:        "workerless: no flag at all",
			command:     []string{"kube-controller-manager", "--v=2"},
			wantCommand: []string{"kube-controller-manager", "--v=2", "--allocate-node-cidrs=false"},
		},
		{
			name:        "flag without a value means true",
			command:     []string{"kube-controller-manager", "--allocate-node-cidrs"},
			wantCommand: []string{"kube-controller-manager", "--allocate-node-cidrs=false"},
		},
		{
			name:        "flags in the arguments",
			command:     []string{"sh", "-c"},
			args:        []string{"--allocate-node-cidrs=true", "--v=2"},
			wantCommand: []string{"sh", "-c"},
			wantArgs:    []string{"--allocate-node-cidrs=false", "--v=2"},
		},
		{
			name:        "arguments without the flag",
			command:     []string{"kube-controller-manager"},
			args:        []string{"--v=2"},
			wantCommand: []string{"kube-controller-manager"},
			wantArgs:    []string{"--v=2", "--allocate-node-cidrs=false"},
		},
		{
			name:        "a flag whose name only begins the same",
			command:     []string{"kube-controller-manager", "--allocate-node-cidrs-later=true", "--allocate-node-cidrs=true"},
			wantCommand: []string{"kube-controller-manager", "--allocate-node-cidrs-later=true", "--allocate-node-cidrs=false"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := NewWithT(t)
			deployment := deploymentWith(corev1.Container{Name: "kube-controller-manager", Image: "kcm:1", Command: tt.command, Args: tt.args})
			want := deployment.DeepCopy()
			want.Spec.Template.Spec.Containers[1].Command = tt.wantCommand
			want.Spec.Template.Spec.Containers[1].Args = tt.wantArgs

			g.Expect(MutateKubeControllerManager(deployment)).To(Succeed())
			g.Expect(deployment).To(Equal(want), "everything but the flag stays")

			g.Expect(MutateKubeControllerManager(deployment)).To(Succeed())
			g.Expect(deployment).To(Equal(want), "a second time changes nothing")
		})
	}
}

func TestMutateKubeControllerManagerWithoutContainer(t *testing.T) {
	g := NewWithT(t)
	err := MutateKubeControllerManager(deploymentWith(corev1.Container{Name: "other"}))
	g.Expect(err).To(MatchError(`deployment shoot--a--b/kube-controller-manager has no container "kube-controller-manager"`))
}

func TestMutateLeavesOtherDeploymentsAlone(t *testing.T) {
	g := NewWithT(t)
	deployment := deploymentWith(corev1.Container{Name: "kube-controller-manager", Command: []string{"kcm"}})
	deployment.Name = "other"
	want := deployment.DeepCopy()
	g.Expect((&mutator{}).Mutate(t.Context(), deployment, nil)).To(Succeed())
	g.Expect(deployment).To(Equal(want))

	now := metav1.Now()
	deployment.Name, deployment.DeletionTimestamp = "kube-controller-manager", &now
	want = deployment.DeepCopy()
	g.Expect((&mutator{}).Mutate(t.Context(), deployment, nil)).To(Succeed())
	g.Expect(deployment).To(Equal(want), "a Deployment that goes away is left alone")
}

func deploymentWith(container corev1.Container) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shoot--a--b", Name: "kube-controller-manager", Labels: map[string]string{"a": "b"}},
		Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "sidecar", Args: []string{"--allocate-node-cidrs=true"}}, container},
		}}},
	}
}
