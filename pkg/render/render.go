// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package render turns what was decided for a shoot into the objects that carry it out: the agent on every node of the shoot,
// and ipv6-ipam-controller in the shoot's control plane. It is pure; golden files under testdata show what comes out.
package render

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// Names of what is rendered, the same in every shoot.
const (
	// AgentName names the agent's objects in the shoot, in the namespace kube-system.
	AgentName = "ipv6-agent"
	// IPAMName names the objects of ipv6-ipam-controller: in the shoot's namespace in the seed, and its permissions in the shoot.
	IPAMName = "ipv6-ipam-controller"
)

// Input is everything that the objects of one shoot depend on.
type Input struct {
	// Namespace of the shoot's control plane in the seed.
	Namespace string
	// Images of the two programs.
	AgentImage, IPAMImage string
	// Agent is the configuration of the agents.
	Agent agentconfig.Config
	// NodePrefixes is the configuration of ipv6-ipam-controller. Neither ranges nor pools: somebody else gives nodes their ranges, and
	// the controller is not deployed.
	NodePrefixes nodeprefix.Config
	// Replicas of ipv6-ipam-controller: 0 while the shoot sleeps.
	Replicas int32
	// GenericTokenKubeconfig is the name of the Secret with the kubeconfig that all of the shoot's control plane shares.
	GenericTokenKubeconfig string
	// AccessSecret is the name of the Secret with the token of ipv6-ipam-controller for the shoot.
	AccessSecret string
	// ShootVPA and SeedVPA tell whether a vertical pod autoscaler runs there.
	ShootVPA, SeedVPA bool
}

// Output are the objects of one shoot, by the cluster that they belong to.
type Output struct {
	// Shoot objects, for a ManagedResource.
	Shoot []client.Object
	// Seed objects, in the shoot's namespace.
	Seed []client.Object
}

// Objects renders the objects. Equal inputs give equal objects.
func Objects(in Input) (Output, error) {
	var out Output
	agent, err := agentObjects(in)
	if err != nil {
		return Output{}, fmt.Errorf("%s: %w", AgentName, err)
	}
	out.Shoot = agent
	if len(in.NodePrefixes.Ranges) == 0 && len(in.NodePrefixes.LoadBalancerPools) == 0 {
		return out, nil
	}

	out.Shoot = append(out.Shoot, ipamShootObjects(in.NodePrefixes)...)
	out.Seed, err = ipamSeedObjects(in)
	if err != nil {
		return Output{}, fmt.Errorf("%s: %w", IPAMName, err)
	}
	return out, nil
}
