// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// Scopes of a range, as nodeprefix.Range.Scope names them.
const (
	scopeGlobal      = "Global"
	scopeUniqueLocal = "UniqueLocal"
)

// prefixingProviders are the provider types whose Gardener extension has the cloud assign every node an IPv6 prefix that its metadata
// server tells: AWS a /80, GCP a /96.
var prefixingProviders = map[string]v1alpha1.MetadataProvider{"aws": v1alpha1.MetadataAWS, "gcp": v1alpha1.MetadataGCP}

// nodePrefixes says how each node's prefix is made. Ranges that somebody else brings are left out, unless it is the nodes that bring
// them.
func nodePrefixes(f facts) (nodeprefix.Config, error) {
	sources := nodeSources(f)
	fromNodes := slices.ContainsFunc(sources, fromNode)
	config := nodeprefix.Config{LoadBalancerPools: loadBalancerPools(f.config)}
	config.LoadBalancerClassOnly = len(config.LoadBalancerPools) > 0 && f.config.LoadBalancer.ClassOnly
	for _, r := range f.plan.NodeRanges {
		own := fromNodes && r.Family == prefix.IPv6 && r.From == keyword.Nodes
		if r.Custom && !own {
			continue
		}
		cut := nodeprefix.Range{
			Family: r.Family.String(), NodeBits: r.NodeBits, PodBits: r.PodBits, PodChild: r.Child,
			// The nodes' own addresses lie in the range that their prefixes are cut from.
			HoldsNodes: r.From == keyword.Nodes,
		}
		if !r.Custom {
			cut.Pool = f.ranges[plan.Key{Range: r.From, Family: r.Family}]
			if cut.Pool.Bits() > r.NodeBits {
				return nodeprefix.Config{}, configurationProblem(fmt.Errorf("the %s range of %s, %s, is smaller than one node's prefix, a /%d", r.Family, r.From, cut.Pool, r.NodeBits))
			}
		}
		if own {
			cut.Within, cut.Scope = within(f), scope(f.plan)
		}
		config.Ranges = append(config.Ranges, cut)
	}
	if len(config.Ranges) > 0 && slices.ContainsFunc(sources, func(s agentconfig.NodePrefixSource) bool { return s.Source != agentconfig.SourcePool }) {
		for _, s := range sources {
			config.Sources = append(config.Sources, nodeprefix.Source{Origin: origin(s.Source), MatchLabels: s.MatchLabels})
		}
	}
	return config, nil
}

// nodeSources are the sources of the nodes' IPv6 prefixes, in the order in which they count. Nodes for which there is none are the
// pool's; custom nodes have no pool, so the last source is for all of them.
func nodeSources(f facts) []agentconfig.NodePrefixSource {
	i := slices.IndexFunc(f.plan.NodeRanges, func(r plan.NodeRange) bool { return r.Family == prefix.IPv6 })
	if i < 0 {
		return nil
	}
	pods := f.plan.NodeRanges[i]
	if f.config.NodePrefix == nil || len(f.config.NodePrefix.Sources) == 0 {
		provider, prefixing := prefixingProviders[f.providerType]
		if !prefixing || pods.From != keyword.Nodes || !providersNodes(f) {
			return nil
		}
		return []agentconfig.NodePrefixSource{{Source: agentconfig.SourceMetadata, Provider: string(provider)}}
	}
	var sources []agentconfig.NodePrefixSource
	for _, s := range f.config.NodePrefix.Sources {
		source := agentconfig.NodePrefixSource{
			Source: agentconfig.PrefixSource(s.Source), MatchLabels: matchLabels(s.NodeSelector), Interface: ptr.Deref(s.Interface, ""),
		}
		if s.Source == v1alpha1.SourceMetadata {
			source.Provider = f.providerType
			if s.Metadata != nil && s.Metadata.Provider != nil {
				source.Provider = string(*s.Metadata.Provider)
			}
		}
		sources = append(sources, source)
	}
	if last := sources[len(sources)-1]; pods.Custom && len(last.MatchLabels) > 0 {
		sources = append(sources, agentconfig.NodePrefixSource{Source: agentconfig.SourceCustom})
	}
	return sources
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

func fromNode(s agentconfig.NodePrefixSource) bool { return origin(s.Source) == nodeprefix.FromNode }

func origin(source agentconfig.PrefixSource) nodeprefix.Origin {
	switch source {
	case agentconfig.SourcePool:
		return nodeprefix.FromPool
	case agentconfig.SourceCustom:
		return nodeprefix.FromElsewhere
	default:
		return nodeprefix.FromNode
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
		return scopeGlobal
	case keyword.V6Private:
		return scopeUniqueLocal
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
