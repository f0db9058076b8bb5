// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package planview

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// Network is how packets travel in a Shoot of this project's network type, in words.
type Network struct {
	// Routing between nodes, and from outside.
	Routing string `json:"routing"`
	// Advertised is what routers are told, with BGP.
	Advertised string `json:"advertised,omitempty"`
	// Encapsulation of packets between nodes.
	Encapsulation string `json:"encapsulation"`
	// NodePrefixes say where nodes' own IPv6 prefixes come from, in the order in which the entries count.
	NodePrefixes []string `json:"nodePrefixes,omitempty"`
	// LoadBalancers are the pools of addresses for Services.
	LoadBalancers []string `json:"loadBalancers,omitempty"`
}

// Travel adds to the view of a plan how packets travel; the configuration has its defaults.
func (v *View) Travel(config *v1alpha1.NetworkConfig, p plan.Plan, providerType string) {
	n := &Network{Routing: routing(config.Routing), Encapsulation: encapsulation(config.Encapsulation), NodePrefixes: nodePrefixes(config, p, providerType)}
	if b := config.Routing.BGP; b != nil {
		n.Advertised = advertised(b.Advertise)
		v.warnAnnounced(b.Advertise, config, p)
	}
	if lb := config.LoadBalancer; lb != nil {
		for _, pool := range lb.Pools {
			n.LoadBalancers = append(n.LoadBalancers, pool.Name+": "+strings.Join(pool.Prefixes, ", "))
		}
		if len(lb.Pools) > 0 && (config.Routing.BGP == nil || !ptr.Deref(config.Routing.BGP.Advertise.LoadBalancerIPs, false)) {
			v.warn("loadBalancer", "nobody tells routers of these addresses: lead them to the nodes, or set routing.mode to BGP with advertise.loadBalancerIPs")
		}
	}
	if *config.Encapsulation.Mode != v1alpha1.EncapsulationModeNever && *config.Routing.Mode == v1alpha1.RoutingModeRouted {
		v.warn("encapsulation", "it decides the way between nodes; the infrastructure's routes lead there from outside only")
	}
	v.Network = n
}

func (v *View) warn(about, message string) {
	v.Warnings = append(v.Warnings, Warning{Range: about, Message: message})
}

// warnAnnounced says what of the announced nobody far away can use.
func (v *View) warnAnnounced(a *v1alpha1.Advertise, config *v1alpha1.NetworkConfig, p plan.Plan) {
	if (ptr.Deref(a.ServiceRange, false) || ptr.Deref(a.ClusterIPs, false)) && privateServices(p) {
		v.warn(string(keyword.Services), "they are announced to routers, but private: only who has a route to such addresses reaches them; v6global would make them public")
	}
	if ptr.Deref(a.ExternalIPs, false) && (config.LoadBalancer == nil || len(config.LoadBalancer.Pools) == 0) {
		v.warn("routing", "advertise.externalIPs announces addresses of loadBalancer.pools only, and there are none")
	}
}

// privateServices tells whether all of the services are.
func privateServices(p plan.Plan) bool {
	services := p.Ranges.Services
	return services != nil && !slices.ContainsFunc(services.Families(), func(f prefix.Family) bool {
		value, _ := services.Value(f)
		cidr, fixed := value.Fixed(keyword.Services)
		return value.Word != keyword.V6Private && (!fixed || !private(cidr))
	})
}

func private(cidr netip.Prefix) bool {
	return cidr.Addr().IsPrivate() || sharedAddresses.Overlaps(cidr)
}

// sharedAddresses are those of RFC 6598, which v4private takes services from.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

func routing(r *v1alpha1.Routing) string {
	switch *r.Mode {
	case v1alpha1.RoutingModeRouted:
		return "Routed: the infrastructure routes each node's prefix to its node"
	case v1alpha1.RoutingModeBGP:
		return "BGP: " + bgp(r.BGP)
	default:
		return "Direct: the nodes share a link"
	}
}

func bgp(b *v1alpha1.BGP) string {
	texts := []string{fmt.Sprintf("AS %d", b.ASN)}
	for _, p := range b.Peers {
		name := "default gateways"
		if p.Address != nil {
			name = *p.Address
		}
		text := fmt.Sprintf("%s (AS %d)", name, p.ASN)
		if p.NodeSelector != nil && len(p.NodeSelector.MatchLabels) > 0 {
			text += " on " + labels(p.NodeSelector.MatchLabels)
		}
		texts = append(texts, text)
	}
	if b.NodeMesh {
		texts = append(texts, "every node with every other")
	}
	if g := b.GracefulRestart; ptr.Deref(g.Enabled, false) {
		texts = append(texts, fmt.Sprintf("graceful restart within %ds", int(g.RestartTime.Seconds())))
	}
	return strings.Join(texts, ", ")
}

func advertised(a *v1alpha1.Advertise) string {
	var texts []string
	for _, kind := range []struct {
		on   *bool
		text string
	}{
		{a.NodePrefixes, "each node's prefix"}, {a.ServiceRange, "the services range"}, {a.ClusterIPs, "each cluster IP"},
		{a.LoadBalancerIPs, "load balancers' addresses"}, {a.ExternalIPs, "external IPs"},
	} {
		if ptr.Deref(kind.on, false) {
			texts = append(texts, kind.text)
		}
	}
	if len(texts) == 0 {
		return "nothing"
	}
	return strings.Join(texts, ", ")
}

func encapsulation(e *v1alpha1.Encapsulation) string {
	text := string(*e.Mode)
	switch *e.Mode {
	case v1alpha1.EncapsulationModeAlways:
		text += ": all packets between nodes' pods"
	case v1alpha1.EncapsulationModeCrossSubnet:
		text += ": packets to nodes behind a router, and of families that nodes lack"
	default:
		return text + ": packets travel as they are"
	}
	return fmt.Sprintf("%s, VXLAN %d at port %d", text, *e.VXLAN.VNI, *e.VXLAN.Port)
}

// nodePrefixes tells the sources, a line each.
func nodePrefixes(config *v1alpha1.NetworkConfig, p plan.Plan, providerType string) []string {
	rest := "all nodes"
	var texts []string
	all := func(source string) { texts = append(texts, source+" for "+rest) }
	sources := shootplan.NodeSources(config, p, providerType, true)
	for _, s := range sources {
		text := string(s.Source)
		if detail := s.Provider + s.Interface; detail != "" {
			text += " (" + detail + ")"
		}
		if len(s.MatchLabels) > 0 {
			texts = append(texts, text+" for "+labels(s.MatchLabels))
			rest = "all other nodes"
			continue
		}
		all(text)
	}
	i := slices.IndexFunc(p.NodeRanges, func(r plan.NodeRange) bool { return r.Family == prefix.IPv6 })
	switch {
	case i < 0:
		return nil
	case len(sources) > 0 && (config.NodePrefix == nil || len(config.NodePrefix.Sources) == 0):
		texts[0] += ", if the infrastructure reports their range"
		if !p.NodeRanges[i].Custom {
			texts[0] += "; else " + string(agentconfig.SourcePool)
		}
	case shootplan.ForAll(sources):
	case p.NodeRanges[i].Custom:
		all(string(agentconfig.SourceCustom))
	default:
		all(string(agentconfig.SourcePool))
	}
	return texts
}

func labels(of map[string]string) string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		texts = append(texts, key+"="+of[key])
	}
	return strings.Join(texts, ",")
}

// rows of the tree.
func (n *Network) rows() []row {
	if n == nil {
		return nil
	}
	rows := []row{{}, {left: "routing", middle: n.Routing}}
	if n.Advertised != "" {
		rows = append(rows, row{left: "announced", middle: n.Advertised})
	}
	rows = append(rows, row{left: "encapsulation", middle: n.Encapsulation})
	rows = append(rows, listed("nodes' prefixes", n.NodePrefixes)...)
	return append(rows, listed("load balancers", n.LoadBalancers)...)
}

func listed(title string, texts []string) []row {
	var rows []row
	for _, text := range texts {
		rows = append(rows, row{left: title, middle: text})
		title = ""
	}
	return rows
}
