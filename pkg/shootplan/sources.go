// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package shootplan

import (
	"slices"

	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// prefixingProviders are the provider types whose Gardener extension has the cloud assign every node an IPv6 prefix that its metadata
// server tells: AWS a /80, GCP a /96. On the others a node has no prefix of its own unless its owner sees to it, and says so.
var prefixingProviders = map[string]v1alpha1.MetadataProvider{"aws": v1alpha1.MetadataAWS, "gcp": v1alpha1.MetadataGCP}

// NodeSources are the sources of the nodes' IPv6 prefixes, in the order in which they count. Nodes for which there is none are the
// pool's; custom nodes have no pool, so that the last source is for all of them that are left.
//
// Where the owner names no source, the pool it is, or nobody for custom nodes; but where pods come from the nodes' prefixes, and the nodes'
// range is the infrastructure provider's own (providersNodes) and no prefix that was reserved for it, AWS and GCP know each node's.
func NodeSources(config *v1alpha1.NetworkConfig, p plan.Plan, providerType string, providersNodes bool) []agentconfig.NodePrefixSource {
	pods, ok := podsOf(p, prefix.IPv6)
	if !ok {
		return nil
	}
	if config.NodePrefix == nil || len(config.NodePrefix.Sources) == 0 {
		provider, prefixing := prefixingProviders[providerType]
		if ipv4, ok := podsOf(p, prefix.IPv4); !prefixing || pods.From != keyword.Nodes || !providersNodes || ok && ipv4.Custom {
			return nil // podCIDRs are written once, by one writer: who brings the pods' IPv4 ranges brings all
		}
		return []agentconfig.NodePrefixSource{{Source: agentconfig.SourceMetadata, Provider: string(provider)}}
	}
	var sources []agentconfig.NodePrefixSource
	for _, s := range config.NodePrefix.Sources {
		source := agentconfig.NodePrefixSource{Source: agentconfig.PrefixSource(s.Source), Interface: ptr.Deref(s.Interface, "")}
		if s.NodeSelector != nil {
			source.MatchLabels = s.NodeSelector.MatchLabels
		}
		if s.Source == v1alpha1.SourceMetadata {
			source.Provider = providerType
			if s.Metadata != nil && s.Metadata.Provider != nil {
				source.Provider = string(*s.Metadata.Provider)
			}
		}
		sources = append(sources, source)
	}
	if pods.Custom && !ForAll(sources) {
		sources = append(sources, agentconfig.NodePrefixSource{Source: agentconfig.SourceCustom})
	}
	return sources
}

// ForAll tells whether every node has a source among them.
func ForAll(sources []agentconfig.NodePrefixSource) bool {
	return slices.ContainsFunc(sources, func(s agentconfig.NodePrefixSource) bool { return len(s.MatchLabels) == 0 })
}

func podsOf(p plan.Plan, f prefix.Family) (plan.NodeRange, bool) {
	i := slices.IndexFunc(p.NodeRanges, func(r plan.NodeRange) bool { return r.Family == f })
	if i < 0 {
		return plan.NodeRange{}, false
	}
	return p.NodeRanges[i], true
}

// someNodesReport tells, before there is a plan, whether there are custom nodes that report their prefixes themselves.
func someNodesReport(config *v1alpha1.NetworkConfig, providerType string) bool {
	if config.NodePrefix == nil || len(config.NodePrefix.Sources) == 0 {
		_, prefixing := prefixingProviders[providerType]
		return prefixing
	}
	return slices.ContainsFunc(config.NodePrefix.Sources, func(s v1alpha1.NodePrefixSource) bool {
		return agentconfig.PrefixSource(s.Source).Reported()
	})
}
