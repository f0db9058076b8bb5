// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Surroundings are what a valid NetworkConfig has to fit beside its own ranges.
type Surroundings struct {
	// Plan of the Shoot's ranges.
	Plan plan.Plan
	// Known are those of the ranges that have been published already.
	Known map[plan.Key]netip.Prefix
	// ProviderType of the Shoot.
	ProviderType string
}

// ValidatePlanned reports where a NetworkConfig that is right by itself contradicts the Shoot's ranges.
func ValidatePlanned(config *v1alpha1.NetworkConfig, around Surroundings, path *field.Path) field.ErrorList {
	errs := around.sources(config.NodePrefix, path.Child("nodePrefix", "sources"))
	if config.Routing != nil && config.Routing.BGP != nil {
		for i, peer := range config.Routing.BGP.Peers {
			errs = append(errs, around.peer(peer, path.Child("routing", "bgp", "peers").Index(i))...)
		}
	}
	if config.LoadBalancer != nil {
		for i, pool := range config.LoadBalancer.Pools {
			errs = append(errs, around.pool(pool, path.Child("loadBalancer", "pools").Index(i).Child("prefixes"))...)
		}
	}
	return errs
}

func (a Surroundings) sources(nodePrefix *v1alpha1.NodePrefix, path *field.Path) field.ErrorList {
	if nodePrefix == nil {
		return nil
	}
	var errs field.ErrorList
	for i, source := range nodePrefix.Sources {
		at := path.Index(i)
		if why := a.refuses(source.Source); why != "" {
			errs = append(errs, field.Invalid(at.Child("source"), source.Source, why))
		}
		if source.Source != v1alpha1.SourceMetadata || source.Metadata != nil && source.Metadata.Provider != nil {
			continue
		}
		if !slices.Contains(metadataProviders, v1alpha1.MetadataProvider(a.ProviderType)) {
			errs = append(errs, field.Required(at.Child("metadata", "provider"),
				fmt.Sprintf("the Shoot's provider type %q is no cloud whose metadata server is known; name one of %q", a.ProviderType, metadataProviders)))
		}
	}
	return errs
}

// refuses says why nodes cannot get their prefixes there, "" if they can.
func (a Surroundings) refuses(source v1alpha1.PrefixSource) string {
	i := slices.IndexFunc(a.Plan.NodeRanges, func(r plan.NodeRange) bool { return r.Family == prefix.IPv6 })
	if i < 0 {
		return "is where IPv6 prefixes come from, but pods have no IPv6; leave nodePrefix out, or give pods an IPv6 value"
	}
	pods := a.Plan.NodeRanges[i]
	own := agentconfig.PrefixSource(source).Reported()
	switch {
	case own && pods.From != keyword.Nodes:
		return "gives each node a prefix of its own, but the pods have a range for themselves; write v6fromNode for pods, or leave the source out"
	case source == v1alpha1.SourcePool && pods.Custom:
		return "has nothing to cut prefixes from: the range is custom; name another source, or leave it out"
	case own && slices.ContainsFunc(a.Plan.NodeRanges, func(r plan.NodeRange) bool { return r.Family == prefix.IPv4 && r.Custom }):
		return "cannot be used beside IPv4 pods that are custom: whoever writes their ranges to Node.spec.podCIDRs has to write the IPv6 ones with them, for they are written once"
	}
	return ""
}

// peer checks that a session carries something that pods have.
func (a Surroundings) peer(peer v1alpha1.BGPPeer, path *field.Path) field.ErrorList {
	pods := func(f prefix.Family) bool {
		return slices.ContainsFunc(a.Plan.NodeRanges, func(r plan.NodeRange) bool { return r.Family == f })
	}
	var errs field.ErrorList
	for i, f := range peer.Families {
		if !pods(map[v1alpha1.IPFamily]prefix.Family{v1alpha1.IPv4: prefix.IPv4, v1alpha1.IPv6: prefix.IPv6}[f]) {
			errs = append(errs, field.Invalid(path.Child("families").Index(i), f, fmt.Sprintf("pods have no %s: there is nothing to tell this router", f)))
		}
	}
	if peer.Address == nil || len(peer.Families) > 0 {
		return errs
	}
	address, err := netip.ParseAddr(*peer.Address)
	if err != nil || pods(prefix.FamilyOf(address)) {
		return errs
	}
	family := prefix.FamilyOf(address)
	return append(errs, field.Required(path.Child("families"), fmt.Sprintf("the router has an %s address, and pods have no %s; name the families that the session shall carry, for example [%s]",
		family, family, family.Other())))
}

func (a Surroundings) pool(pool v1alpha1.LoadBalancerPool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, text := range pool.Prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			continue // said already
		}
		if other := a.Plan.Overlapped(p, a.Known); other != "" {
			errs = append(errs, field.Invalid(path.Index(i), text, fmt.Sprintf("overlaps %s; choose a range that nothing else has", other)))
		}
	}
	return errs
}
