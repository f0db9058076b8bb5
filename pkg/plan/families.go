// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// families decides the Shoot's IP families and checks that each range has the families that rest on it: rules 4 and 5.
func (b *builder) families() {
	b.plan.IPFamilies = b.serviceFamilies()
	services, pods, nodes := b.plan.IPFamilies, b.asked[keyword.Pods], b.asked[keyword.Nodes]
	if len(services) == 0 {
		b.fail(b.at(Key{Range: keyword.Services}, RuleFamilies, "services have no addresses at all", "write for example v6global/64"))
		return
	}
	if set := b.facts.IPFamilies; len(set) > 0 && !slices.Equal(set, services) {
		b.fail(b.at(Key{Range: keyword.Services}, RuleIPFamilies,
			fmt.Sprintf("ipFamilies are %s, but these services make them %s", joinFamilies(set), joinFamilies(services)),
			"leave ipFamilies out, or set them to "+joinFamilies(services)))
	}
	for _, f := range services {
		if _, ok := pods.Value(f); !ok {
			b.fail(b.at(Key{keyword.Pods, f.Other()}, RuleFamilies, fmt.Sprintf("services have %s, but pods have none", f),
				fmt.Sprintf("add an %s value, for example %s", f, exampleOf(keyword.Pods, f))))
		}
	}
	for _, f := range b.podFamilies() {
		if _, ok := nodes.Value(f); !ok && !b.encapsulated() && !b.needsNodePrefix(f) {
			b.fail(b.at(Key{keyword.Nodes, f.Other()}, RuleFamilies, fmt.Sprintf("pods have %s, but nodes have none", f),
				fmt.Sprintf("add an %s value, for example %s%s", f, exampleOf(keyword.Nodes, f), b.orEncapsulate())))
		}
	}
}

// encapsulated tells whether packets of pods reach nodes that lack the family.
func (b *builder) encapsulated() bool {
	return b.facts.Encapsulation == EncapsulationAlways || b.facts.Encapsulation == EncapsulationCrossSubnet
}

// orEncapsulate is the other way out, where the network is ours.
func (b *builder) orEncapsulate() string {
	if b.facts.NetworkType != TypeIPv6 {
		return ""
	}
	return ", or set providerConfig.encapsulation.mode to " + EncapsulationAlways
}

// needsNodePrefix tells whether the pods of the family are cut from the nodes' prefixes; rule 3 then says what is wrong with nodes
// that lack the family.
func (b *builder) needsNodePrefix(f prefix.Family) bool {
	v, ok := b.asked[keyword.Pods].Value(f)
	return ok && v.FromNode()
}

// serviceFamilies are the families of the services in the order of their text. custom alone leaves them open: then the owner's
// ipFamilies decide, or else the families that the pods' values name, or else it is IPv6.
func (b *builder) serviceFamilies() []prefix.Family {
	services := b.asked[keyword.Services]
	if !open(services) {
		return services.Families()
	}
	if len(b.facts.IPFamilies) > 0 {
		return b.facts.IPFamilies
	}
	if pods := b.asked[keyword.Pods]; !open(pods) && len(pods.Families()) > 0 {
		return pods.Families()
	}
	return []prefix.Family{prefix.IPv6}
}

// podFamilies are the families that pods have, those of the services first and in their order. custom alone adds none.
func (b *builder) podFamilies() []prefix.Family {
	pods := b.asked[keyword.Pods]
	var fs []prefix.Family
	for _, f := range b.plan.IPFamilies {
		if _, ok := pods.Value(f); ok {
			fs = append(fs, f)
		}
	}
	if open(pods) {
		return fs
	}
	for _, f := range pods.Families() {
		if !slices.Contains(fs, f) {
			fs = append(fs, f)
		}
	}
	return fs
}

// open tells a range that is custom for both families.
func open(r keyword.Range) bool { return len(r.Values) == 1 && r.Values[0].Word == keyword.Custom }

func exampleOf(n keyword.Name, f prefix.Family) string {
	switch {
	case f == prefix.IPv4:
		return string(keyword.V4Private)
	case n == keyword.Pods:
		return string(keyword.V6FromNode)
	default:
		return "v6global/64"
	}
}
