// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// site is a router with two subnets: n1 and n2 are in the first, n3 in the second.
type site struct {
	*space
	nodes []*node
}

// underlay of a site: which families its nodes have.
type underlay struct{ v6, v4 bool }

// newSite starts the agents. Pods are dual-stack, of ranges that the router does not know.
func newSite(t testing.TB, u underlay, mode agentconfig.EncapsulationMode) *site {
	t.Helper()
	s := &site{space: newSpace(t, "router")}
	s.sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	s.sysctl(t, "net/ipv4/ip_forward", "1")
	for i := range 2 {
		bridge := fmt.Sprint("br", i)
		s.ip(t, "link", "add", bridge, "type", "bridge")
		s.ip(t, "link", "set", bridge, "up")
		s.ip(t, "addr", "add", fmt.Sprintf("fd00:%d::1/64", i), "dev", bridge, "nodad")
		s.ip(t, "addr", "add", fmt.Sprintf("10.60.%d.1/24", i), "dev", bridge)
	}
	cfg := agentconfig.Config{
		RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6", "IPv4"}, NodePrefixLengthIPv6: 96,
		MasqueradeIPv4: true, NonMasqueradeCIDRs: []string{"10.60.0.0/16", "10.96.0.0/16"},
		Encapsulation: &agentconfig.Encapsulation{Mode: mode, VNI: 4096, Port: 4789},
	}
	var known []agent.Node
	for i, subnet := range []int{0, 0, 1} {
		n := newNode(t, fmt.Sprintf("n%d", i+1), cfg)
		known = append(known, s.plug(t, n, i+1, subnet, u))
		s.nodes = append(s.nodes, n)
	}
	for i, n := range s.nodes {
		n.file.View = viewOf(known[i], slices.Delete(slices.Clone(known), i, i+1)...)
		n.start()
	}
	for _, n := range s.nodes {
		n.ready()
	}
	return s
}

func (s *site) plug(t testing.TB, n *node, number, subnet int, u underlay) agent.Node {
	t.Helper()
	port := fmt.Sprint("port", number)
	s.ip(t, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", n.name)
	s.ip(t, "link", "set", port, "master", fmt.Sprint("br", subnet), "up")
	n.sysctl(t, "net/ipv6/conf/eth0/accept_dad", "0")
	n.ip(t, "link", "set", "eth0", "up")
	k := agent.Node{Name: n.file.View.Own.Name, PodCIDRs: []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("fd00:10::%d:d000:0/100", number)), netip.MustParsePrefix(fmt.Sprintf("10.96.%d.0/24", number)),
	}}
	if u.v6 {
		n.ip(t, "addr", "add", fmt.Sprintf("fd00:%d::1%d/64", subnet, number), "dev", "eth0", "nodad")
		n.ip(t, "route", "add", "default", "via", fmt.Sprintf("fd00:%d::1", subnet))
		k.Addrs = append(k.Addrs, netip.MustParseAddr(fmt.Sprintf("fd00:%d::1%d", subnet, number)))
	}
	if u.v4 {
		n.ip(t, "addr", "add", fmt.Sprintf("10.60.%d.1%d/24", subnet, number), "dev", "eth0")
		n.ip(t, "route", "add", "default", "via", fmt.Sprintf("10.60.%d.1", subnet))
		k.Addrs = append(k.Addrs, netip.MustParseAddr(fmt.Sprintf("10.60.%d.1%d", subnet, number)))
	}
	return k
}

func TestTunnels(t *testing.T) {
	needsRoot(t)
	for _, mode := range []agentconfig.EncapsulationMode{agentconfig.EncapsulationAlways, agentconfig.EncapsulationCrossSubnet} {
		for name, u := range map[string]underlay{"IPv6": {v6: true}, "IPv4": {v4: true}, "both": {true, true}} {
			t.Run(fmt.Sprint(mode, " over ", name), func(t *testing.T) {
				g := NewWithT(t)
				s := newSite(t, u, mode)
				var pods []*pod
				for i, n := range s.nodes {
					p := n.newPod(t, fmt.Sprint("p", i+1)).add(t)
					for _, a := range p.addrs(t) {
						p.echo(t, a)
					}
					pods = append(pods, p)
				}
				for _, from := range pods {
					for _, to := range pods {
						for i, a := range to.addrs(t) {
							g.Eventually(func() (string, error) { return from.ask(t, a) }, "5s").Should(Equal(from.addrs(t)[i].String()), "%s to %s", from.id, a)
						}
					}
				}
			})
		}
	}
}
