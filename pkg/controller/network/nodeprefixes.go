// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// nodePrefixes says how each node's prefix is made. Ranges that somebody else brings are left out, unless it is the nodes that bring
// them.
func nodePrefixes(f facts) (nodeprefix.Config, error) {
	sources := nodeSources(f)
	config := nodeprefix.Config{LoadBalancerPools: loadBalancerPools(f.config)}
	config.LoadBalancerClassOnly = len(config.LoadBalancerPools) > 0 && f.config.LoadBalancer.ClassOnly
	for _, r := range f.plan.NodeRanges {
		reported := r.Family == prefix.IPv6 && r.From == keyword.Nodes && slices.ContainsFunc(sources, func(s agentconfig.NodePrefixSource) bool { return s.Source.Reported() })
		if r.Custom && !reported {
			continue
		}
		cut := nodeprefix.Range{
			Family: r.Family.String(), NodeBits: r.NodeBits, PodBits: r.PodBits, PodChild: r.Child,
			// The nodes' own addresses lie in the range that their prefixes are cut from.
			HoldsNodes: r.From == keyword.Nodes,
		}
		if reported {
			cut.Within, cut.Scope = within(f), scope(f.plan)
		}
		if !reported || pooled(sources) {
			cut.Pool = f.ranges[plan.Key{Range: r.From, Family: r.Family}]
		}
		for _, all := range append(slices.Clone(cut.Within), cut.Pool) {
			if all.Bits() > r.NodeBits {
				return nodeprefix.Config{}, configurationProblem(fmt.Errorf("the %s range of %s, %s, is smaller than one node's prefix, a /%d", r.Family, r.From, all, r.NodeBits))
			}
		}
		config.Ranges = append(config.Ranges, cut)
	}
	elsewhere := func(s agentconfig.NodePrefixSource) bool { return s.Source != agentconfig.SourcePool }
	if len(config.Ranges) > 0 && slices.ContainsFunc(sources, elsewhere) {
		for _, s := range sources {
			config.Sources = append(config.Sources, nodeprefix.Source{Origin: origin(s), MatchLabels: s.MatchLabels})
		}
	}
	return config, nil
}

// nodeSources are the sources of the nodes' IPv6 prefixes, in the order in which they count.
func nodeSources(f facts) []agentconfig.NodePrefixSource {
	return shootplan.NodeSources(f.config, f.plan, f.providerType, providersNodes(f))
}

// pooled tells whether some nodes get their prefixes from the pool.
func pooled(sources []agentconfig.NodePrefixSource) bool {
	return !shootplan.ForAll(sources) || slices.ContainsFunc(sources, func(s agentconfig.NodePrefixSource) bool { return s.Source == agentconfig.SourcePool })
}

// providersNodes tells whether the nodes' IPv6 range is the infrastructure provider's own, and no prefix that was reserved for it.
func providersNodes(f facts) bool {
	key := plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}
	if !f.ranges[key].IsValid() {
		return false
	}
	asked := f.plan.Ranges.Nodes
	if asked == nil {
		return true
	}
	if value, _ := asked.Value(prefix.IPv6); value.Word == keyword.Custom {
		return true
	}
	return slices.ContainsFunc(f.reservations, func(r v1alpha1.PrefixReservation) bool {
		return infrastructure.KeyOf(&r) == key && r.Status.Phase == v1alpha1.PhaseBound && r.Status.Backend == infrastructure.BackendAdopted
	})
}

func origin(s agentconfig.NodePrefixSource) nodeprefix.Origin {
	switch {
	case s.Source.Reported():
		return nodeprefix.FromNode
	case s.Source == agentconfig.SourceCustom:
		return nodeprefix.FromElsewhere
	default:
		return nodeprefix.FromPool
	}
}

// within are the prefixes that hold every node's: the nodes range, or where nobody reports one, what the owner says that covers them.
func within(f facts) []netip.Prefix {
	for _, name := range []keyword.Name{keyword.Nodes, keyword.Pods} {
		if p := f.ranges[plan.Key{Range: name, Family: prefix.IPv6}]; p.IsValid() {
			return []netip.Prefix{p}
		}
	}
	return nil
}

// scope of the prefixes that nodes may report: what was asked for.
func scope(p plan.Plan) string {
	if p.Ranges.Nodes == nil {
		return ""
	}
	value, _ := p.Ranges.Nodes.Value(prefix.IPv6)
	switch value.Word {
	case keyword.V6Global:
		return nodeprefix.ScopeGlobal
	case keyword.V6Private:
		return nodeprefix.ScopeUniqueLocal
	default:
		return ""
	}
}

// loadBalancerPools copies; validation has seen that the prefixes are some.
func loadBalancerPools(config *v1alpha1.NetworkConfig) []nodeprefix.LoadBalancerPool {
	if config.LoadBalancer == nil {
		return nil
	}
	var pools []nodeprefix.LoadBalancerPool
	for _, p := range config.LoadBalancer.Pools {
		pool := nodeprefix.LoadBalancerPool{Name: p.Name}
		for _, text := range p.Prefixes {
			if parsed, err := netip.ParsePrefix(text); err == nil {
				pool.Prefixes = append(pool.Prefixes, parsed)
			}
		}
		pools = append(pools, pool)
	}
	return pools
}
