// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/render"
)

// accessSecret holds the token of ipv6-ipam-controller for the shoot; gardener-resource-manager renews it.
const accessSecret = "shoot-access-" + render.IPAMName

var providerConfigPath = field.NewPath("spec", "networking", "providerConfig")

// decision is what is to be done for one shoot.
type decision struct {
	input  render.Input
	status v1alpha1.NetworkStatus
}

// decide follows from the facts alone.
func decide(f facts, agentImage, ipamImage string) (decision, error) {
	if err := missing(f); err != nil {
		return decision{}, err
	}
	around := validation.Surroundings{Plan: f.plan, Known: f.ranges, ProviderType: f.providerType}
	if err := validation.ValidatePlanned(f.config, around, providerConfigPath).ToAggregate(); err != nil {
		return decision{}, configurationProblem(err)
	}
	nodePrefixes, err := nodePrefixes(f)
	if err != nil {
		return decision{}, err
	}
	d := decision{
		input: render.Input{
			Namespace:              f.namespace,
			AgentImage:             agentImage,
			IPAMImage:              ipamImage,
			Agent:                  agentConfig(f),
			NodePrefixes:           nodePrefixes,
			Replicas:               1,
			GenericTokenKubeconfig: f.genericTokenKubeconfig,
			AccessSecret:           accessSecret,
			ShootVPA:               f.shootVPA,
			SeedVPA:                f.seedVPA,
		},
		status: networkStatus(f),
	}
	if f.hibernated {
		d.input.Replicas = 0
	}
	return d, nil
}

// missing tells which ranges the shoot cannot go on without. A range that the owner left to others and that nobody brought is a
// mistake of the owner's; any other is on its way, and the next try finds it.
func missing(f facts) error {
	var errs []error
	owners := true
	need := func(name keyword.Name, family prefix.Family) {
		if f.ranges[plan.Key{Range: name, Family: family}].IsValid() {
			return
		}
		asked := "which was not asked for"
		if r := f.plan.Ranges.Get(name); r != nil {
			asked = fmt.Sprintf("for which %q was asked", r)
			value, _ := r.Value(family)
			owners = owners && value.Word == keyword.Custom
		}
		errs = append(errs, fmt.Errorf("the Shoot has no %s range for %s, %s", family, name, asked))
	}
	for _, family := range f.plan.IPFamilies {
		need(keyword.Services, family)
		need(keyword.Pods, family)
	}
	for _, r := range f.plan.NodeRanges {
		if !r.Custom {
			need(r.From, r.Family)
		}
	}
	err := errors.Join(dedupe(errs)...)
	if err != nil && owners {
		return configurationProblem(err)
	}
	return err
}

func dedupe(errs []error) []error {
	seen := map[string]bool{}
	var unique []error
	for _, err := range errs {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			unique = append(unique, err)
		}
	}
	return unique
}

// networkStatus tells what was asked for, what is reserved and what the shoot has.
func networkStatus(f facts) v1alpha1.NetworkStatus {
	var status v1alpha1.NetworkStatus
	reserved := held(f.reservations)
	for _, name := range keyword.Names() {
		asked := f.plan.Ranges.Get(name)
		r := v1alpha1.RangeStatus{Name: v1alpha1.RangeName(name)}
		if asked != nil {
			r.Requested = asked.String()
		}
		for _, family := range familiesInOrder(f.plan) {
			key := plan.Key{Range: name, Family: family}
			r.Reserved = appendPrefix(r.Reserved, reserved[key])
			r.Published = appendPrefix(r.Published, f.ranges[key])
		}
		if asked != nil || len(r.Published) > 0 {
			status.Ranges = append(status.Ranges, r)
		}
	}
	for _, r := range f.plan.NodeRanges {
		if r.Family != prefix.IPv6 {
			continue
		}
		status.PodPrefixLength = int32(r.PodBits)
		if r.From == keyword.Nodes {
			status.NodePrefixLength = int32(r.NodeBits)
		}
	}
	return status
}

func appendPrefix(texts []string, p netip.Prefix) []string {
	if !p.IsValid() {
		return texts
	}
	return append(texts, p.String())
}

// familiesInOrder are both families, the shoot's primary one first.
func familiesInOrder(p plan.Plan) []prefix.Family {
	if len(p.IPFamilies) > 0 && p.IPFamilies[0] == prefix.IPv4 {
		return []prefix.Family{prefix.IPv4, prefix.IPv6}
	}
	return []prefix.Family{prefix.IPv6, prefix.IPv4}
}
