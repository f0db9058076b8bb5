// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package controlplane is the webhook in the seed that keeps kube-controller-manager from handing out pod ranges: in shoots of
// network type "ipv6" that is the business of ipv6-ipam-controller alone. Two writers of Node.spec.podCIDRs would each be
// certain of their own choice, and the first one to write wins for the life of the node.
package controlplane

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
)

// WebhookName is the name of the webhook in the MutatingWebhookConfiguration, for --disable-webhooks, and its path.
const WebhookName = "control-plane"

// flagAllocateNodeCIDRs is the flag of kube-controller-manager that starts its node IPAM controller. Everything else it is
// told about pod ranges (--cluster-cidr, --node-cidr-mask-size…) is read by that controller only, and stays as it is.
const flagAllocateNodeCIDRs = "--allocate-node-cidrs"

// containerName is the container of the Deployment kube-controller-manager that runs the program of that name.
const containerName = "kube-controller-manager"

// New returns the webhook.
func New(mgr manager.Manager, networkType string) (*extensionswebhook.Webhook, error) {
	wh, err := extensionswebhook.New(mgr, extensionswebhook.Args{
		Name:   WebhookName,
		Path:   WebhookName,
		Target: extensionswebhook.TargetSeed,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			v1beta1constants.LabelNetworkingProvider: networkType,
		}},
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			v1beta1constants.LabelApp:  v1beta1constants.LabelKubernetes,
			v1beta1constants.LabelRole: v1beta1constants.LabelControllerManager,
		}},
		Mutators: map[extensionswebhook.Mutator][]extensionswebhook.Type{
			&mutator{}: {{Obj: &appsv1.Deployment{}}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", WebhookName, err)
	}
	return wh, nil
}

type mutator struct{}

// Mutate implements the library's Mutator.
func (*mutator) Mutate(_ context.Context, newObj, _ client.Object) error {
	if newObj.GetDeletionTimestamp() != nil || newObj.GetName() != v1beta1constants.DeploymentNameKubeControllerManager {
		return nil
	}
	deployment, ok := newObj.(*appsv1.Deployment)
	if !ok {
		return fmt.Errorf("webhook %s: got %T, want a Deployment", WebhookName, newObj)
	}
	return MutateKubeControllerManager(deployment)
}

// MutateKubeControllerManager turns the allocation of node ranges off in the Deployment, and touches nothing else. Applied
// again it changes nothing.
func MutateKubeControllerManager(deployment *appsv1.Deployment) error {
	containers := deployment.Spec.Template.Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == containerName })
	if i < 0 {
		return fmt.Errorf("deployment %s/%s has no container %q", deployment.Namespace, deployment.Name, containerName)
	}
	c := &containers[i]

	// Gardener writes the flags behind the command; whoever wraps the command moves them to the arguments.
	if inArgs := replaceFlag(c.Args); inArgs != nil {
		c.Args = inArgs
		// A second setting before it would lose anyway, but two contradicting flags mislead who reads them.
		if inCommand := replaceFlag(c.Command); inCommand != nil {
			c.Command = inCommand
		}
		return nil
	}
	if inCommand := replaceFlag(c.Command); inCommand != nil {
		c.Command = inCommand
		return nil
	}
	off := flagAllocateNodeCIDRs + "=false"
	if len(c.Args) > 0 {
		c.Args = append(slices.Clone(c.Args), off)
	} else {
		c.Command = append(slices.Clone(c.Command), off)
	}
	return nil
}

// replaceFlag returns the words with every setting of the flag turned to false, or nil if there is none.
func replaceFlag(words []string) []string {
	isFlag := func(word string) bool {
		name, _, _ := strings.Cut(word, "=")
		return name == flagAllocateNodeCIDRs
	}
	if !slices.ContainsFunc(words, isFlag) {
		return nil
	}
	replaced := slices.Clone(words)
	for i, word := range replaced {
		if isFlag(word) {
			replaced[i] = flagAllocateNodeCIDRs + "=false"
		}
	}
	return replaced
}
