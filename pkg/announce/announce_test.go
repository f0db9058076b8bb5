// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package announce_test

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

var (
	pfx  = netip.MustParsePrefix
	addr = netip.MustParseAddr
)

// dual is the same number of endpoints in both families.
func dual(e announce.Endpoints) map[bgp.Family]announce.Endpoints {
	return map[bgp.Family]announce.Endpoints{bgp.IPv6Unicast: e, bgp.IPv4Unicast: e}
}

var (
	remote = dual(announce.Endpoints{Ready: 2})
	here   = dual(announce.Endpoints{Ready: 2, ReadyHere: 1})
	none   = dual(announce.Endpoints{})
)

func service(ips ...string) announce.Service {
	s := announce.Service{Namespace: "default", Name: "web", Type: announce.ClusterIP, Endpoints: remote}
	for _, a := range ips {
		s.ClusterIPs = append(s.ClusterIPs, addr(a))
	}
	return s
}

func input(services ...announce.Service) announce.Input {
	return announce.Input{
		Node: announce.Node{
			Name: "a", Addresses: []netip.Addr{addr("2001:db8::a"), addr("10.0.0.1")},
			PodRanges: []netip.Prefix{pfx("2001:db8:1:a::/80"), pfx("100.64.1.0/24")},
		},
		Others: []announce.Node{{
			Name: "b", Addresses: []netip.Addr{addr("2001:db8::b"), addr("10.0.0.2")},
			PodRanges: []netip.Prefix{pfx("2001:db8:1:b::/80"), pfx("100.64.2.0/24")},
		}},
		Gateways: []announce.Gateway{{Address: addr("fe80::1"), Interface: "eth0"}, {Address: addr("10.0.0.254"), Interface: "eth0"}},
		Services: services,
		Families: []bgp.Family{bgp.IPv6Unicast, bgp.IPv4Unicast},
		ServiceCIDRs: []netip.Prefix{
			pfx("2001:db8:2::/112"), pfx("10.96.0.0/16"),
		},
		Pools: []netip.Prefix{pfx("2001:db8:5::/112"), pfx("198.51.100.0/24")},
		Config: announce.Config{
			ASN: 64512, Peers: []announce.Peer{{Address: addr("2001:db8::1"), ASN: 65000}},
			Advertise: announce.Advertise{NodePrefixes: true},
		},
	}
}

func prefixes(out announce.Output) []string {
	found := []string{}
	for _, a := range out.Desired.Advertisements {
		found = append(found, a.Prefix.String())
	}
	return found
}

func unreachable(out announce.Output) []string {
	found := []string{}
	for _, p := range out.Unreachable {
		found = append(found, p.String())
	}
	return found
}

func problems(out announce.Output) []string {
	found := []string{}
	for _, p := range out.Problems {
		found = append(found, string(p.Reason)+": "+p.String())
	}
	return found
}

func TestNodePrefixes(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*announce.Input)
		want   []string
	}{
		"pod ranges":    {func(*announce.Input) {}, []string{"100.64.1.0/24", "2001:db8:1:a::/80"}},
		"not asked for": {func(in *announce.Input) { in.Config.Advertise.NodePrefixes = false }, []string{}},
		"the whole prefix instead of a part": {
			func(in *announce.Input) { in.Node.Prefixes = []netip.Prefix{pfx("2001:db8:1:a::/64")} },
			[]string{"100.64.1.0/24", "2001:db8:1:a::/64"},
		},
		"a prefix with the node in it is the link's": {
			func(in *announce.Input) { in.Node.Prefixes = []netip.Prefix{pfx("2001:db8::/64")} },
			[]string{"100.64.1.0/24", "2001:db8:1:a::/80"},
		},
		"cordoned and excluded": {
			func(in *announce.Input) { in.Node.Labels = map[string]string{announce.ExcludeLabel: ""} },
			[]string{"100.64.1.0/24", "2001:db8:1:a::/80"},
		},
		"draining: pods live": {func(in *announce.Input) { in.Node.Phase = announce.Draining }, []string{"100.64.1.0/24", "2001:db8:1:a::/80"}},
		"leaving":             {func(in *announce.Input) { in.Node.Phase = announce.Leaving }, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			in := input()
			tc.change(&in)
			out := announce.Decide(in)
			NewWithT(t).Expect(prefixes(out)).To(Equal(tc.want))
			NewWithT(t).Expect(problems(out)).To(BeEmpty())
		})
	}
}

func TestServiceRange(t *testing.T) {
	ranges := []string{"10.96.0.0/16", "2001:db8:2::/112"}
	localHere, localThere := service("2001:db8:2::5", "10.96.0.5"), service("2001:db8:2::6", "10.96.0.6")
	localHere.InternalPolicy, localHere.Endpoints = announce.Local, here
	localThere.InternalPolicy = announce.Local
	for name, tc := range map[string]struct {
		change   func(*announce.Input)
		want     []string
		unrouted []string
		problems []string
	}{
		"whole, without single addresses": {func(*announce.Input) {}, ranges, ranges, []string{}},
		"beside it the Local ones with an endpoint here": {
			func(in *announce.Input) { in.Services = append(in.Services, localHere, localThere) },
			[]string{"10.96.0.0/16", "10.96.0.5/32", "2001:db8:2::/112", "2001:db8:2::5/128"}, ranges, []string{},
		},
		"excluded": {
			func(in *announce.Input) {
				in.Node.Labels = map[string]string{announce.ExcludeLabel: "false"} // its value means nothing
				in.Services = append(in.Services, localHere)
			},
			[]string{}, ranges, []string{},
		},
		"draining withdraws services first": {func(in *announce.Input) { in.Node.Phase = announce.Draining }, []string{}, ranges, []string{}},
		"leaving":                           {func(in *announce.Input) { in.Node.Phase = announce.Leaving }, []string{}, ranges, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			in := input(service("2001:db8:2::1", "10.96.0.1"))
			in.Config.Advertise = announce.Advertise{ServiceRange: true}
			tc.change(&in)
			out := announce.Decide(in)
			g.Expect(prefixes(out)).To(Equal(tc.want))
			g.Expect(unreachable(out)).To(Equal(tc.unrouted))
			g.Expect(problems(out)).To(Equal(tc.problems))
		})
	}
}

func TestClusterIPs(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*announce.Service, *announce.Input)
		want   []string
	}{
		"each family": {func(*announce.Service, *announce.Input) {}, []string{"10.96.0.9/32", "2001:db8:2::9/128"}},
		"one family has endpoints": {
			func(s *announce.Service, _ *announce.Input) {
				s.Endpoints = map[bgp.Family]announce.Endpoints{bgp.IPv6Unicast: {Ready: 1}}
			},
			[]string{"2001:db8:2::9/128"},
		},
		"no endpoint":       {func(s *announce.Service, _ *announce.Input) { s.Endpoints = none }, []string{}},
		"endpoints unknown": {func(s *announce.Service, _ *announce.Input) { s.Endpoints = nil }, []string{}},
		"Local, none here":  {func(s *announce.Service, _ *announce.Input) { s.InternalPolicy = announce.Local }, []string{}},
		"external policy Local is not for cluster IPs": {
			func(s *announce.Service, _ *announce.Input) { s.ExternalPolicy = announce.Local },
			[]string{"10.96.0.9/32", "2001:db8:2::9/128"},
		},
		"Local, one here": {
			func(s *announce.Service, _ *announce.Input) { s.InternalPolicy, s.Endpoints = announce.Local, here },
			[]string{"10.96.0.9/32", "2001:db8:2::9/128"},
		},
		"only ending ones": {
			func(s *announce.Service, _ *announce.Input) { s.Endpoints = dual(announce.Endpoints{Ending: 1}) },
			[]string{"10.96.0.9/32", "2001:db8:2::9/128"},
		},
		"headless":         {func(s *announce.Service, _ *announce.Input) { s.ClusterIPs = nil }, []string{}},
		"of another proxy": {func(s *announce.Service, _ *announce.Input) { s.ProxyName = "other" }, []string{}},
		"ExternalName":     {func(s *announce.Service, _ *announce.Input) { s.Type = announce.ExternalName }, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			in, s := input(), service("2001:db8:2::9", "10.96.0.9")
			in.Config.Advertise = announce.Advertise{ClusterIPs: true}
			tc.change(&s, &in)
			in.Services = []announce.Service{s}
			out := announce.Decide(in)
			NewWithT(t).Expect(prefixes(out)).To(Equal(tc.want))
			NewWithT(t).Expect(unreachable(out)).To(Equal(tc.want), "what is announced and not translated must not go back to the router")
		})
	}
}

func TestExternalAddresses(t *testing.T) {
	all := []string{"198.51.100.7/32", "198.51.100.8/32", "2001:db8:5::7/128", "2001:db8:5::8/128"}
	for name, tc := range map[string]struct {
		change func(*announce.Service, *announce.Input)
		want   []string
	}{
		"Cluster, endpoints anywhere": {func(*announce.Service, *announce.Input) {}, all},
		"Cluster, no endpoint":        {func(s *announce.Service, _ *announce.Input) { s.Endpoints = none }, []string{}},
		"Local, none here":            {func(s *announce.Service, _ *announce.Input) { s.ExternalPolicy = announce.Local }, []string{}},
		"Local, one here":             {func(s *announce.Service, _ *announce.Input) { s.ExternalPolicy, s.Endpoints = announce.Local, here }, all},
		"Local, ending here while others are ready": {
			func(s *announce.Service, _ *announce.Input) {
				s.ExternalPolicy, s.Endpoints = announce.Local, dual(announce.Endpoints{Ready: 1, Ending: 1, EndingHere: 1})
			},
			[]string{},
		},
		"Local, the only one ends here": {
			func(s *announce.Service, _ *announce.Input) {
				s.ExternalPolicy, s.Endpoints = announce.Local, dual(announce.Endpoints{Ending: 1, EndingHere: 1})
			},
			all,
		},
		"internal policy Local is for cluster IPs": {func(s *announce.Service, _ *announce.Input) { s.InternalPolicy = announce.Local }, all},
		"a load balancer outside has the address": {
			func(s *announce.Service, _ *announce.Input) { s.Ingress[0].Proxy, s.Ingress[1].Proxy = true, true },
			[]string{"198.51.100.8/32", "2001:db8:5::8/128"},
		},
		"no longer of type LoadBalancer": {
			func(s *announce.Service, _ *announce.Input) { s.Type = announce.NodePort },
			[]string{"198.51.100.8/32", "2001:db8:5::8/128"},
		},
		"headless": {func(s *announce.Service, _ *announce.Input) { s.ClusterIPs = nil }, []string{}},
		"excluded": {
			func(_ *announce.Service, in *announce.Input) {
				in.Node.Labels = map[string]string{announce.ExcludeLabel: ""}
			},
			[]string{},
		},
		"draining": {func(_ *announce.Service, in *announce.Input) { in.Node.Phase = announce.Draining }, []string{}},
		"leaving":  {func(_ *announce.Service, in *announce.Input) { in.Node.Phase = announce.Leaving }, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			in, s := input(), service("2001:db8:2::9", "10.96.0.9")
			in.Config.Advertise = announce.Advertise{LoadBalancerIPs: true, ExternalIPs: true}
			s.Type = announce.LoadBalancer
			s.Ingress = []announce.Ingress{{Address: addr("2001:db8:5::7")}, {Address: addr("198.51.100.7")}}
			s.ExternalIPs = []netip.Addr{addr("2001:db8:5::8"), addr("198.51.100.8")}
			tc.change(&s, &in)
			in.Services = []announce.Service{s}
			out := announce.Decide(in)
			NewWithT(t).Expect(prefixes(out)).To(Equal(tc.want))
			NewWithT(t).Expect(unreachable(out)).To(Equal(tc.want))
			NewWithT(t).Expect(problems(out)).To(BeEmpty())
		})
	}
}

// A user may write anything into a Service.
func TestRefusedAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"2001:db8:6::1":   "outside of the pools of load balancers' addresses",
		"2001:db8::b":     "that is a node's",
		"2001:db8::a":     "that is a node's",
		"2001:db8:1:b::5": "within a node's pod range",
		"2001:db8:2::1":   "within the service ranges",
		"fe80::1":         "that no router can have",
		"::1":             "that no router can have",
		"ff02::1":         "that no router can have",
		"127.0.0.1":       "that no router can have",
		"::ffff:10.0.0.1": "that no router can have",
	} {
		g := NewWithT(t)
		in, s := input(), service("2001:db8:2::9")
		in.Config.Advertise = announce.Advertise{ExternalIPs: true}
		in.Pools = []netip.Prefix{pfx("::/0"), pfx("127.0.0.0/8")}
		if address == "2001:db8:6::1" {
			in.Pools = []netip.Prefix{pfx("2001:db8:5::/112")}
		}
		s.ExternalIPs = []netip.Addr{addr(address)}
		in.Services = []announce.Service{s}
		out := announce.Decide(in)
		g.Expect(prefixes(out)).To(BeEmpty(), address)
		g.Expect(problems(out)).To(ConsistOf("AddressNotAllowed: Service default/web has the external address " + address + " " + want +
			": it is not announced"))
	}
}

func TestClusterIPOutsideOfItsRange(t *testing.T) {
	in := input(service("2001:db8:9::1"))
	in.Config.Advertise = announce.Advertise{ClusterIPs: true}
	out := announce.Decide(in)
	NewWithT(t).Expect(prefixes(out)).To(BeEmpty())
	NewWithT(t).Expect(problems(out)).To(ConsistOf(
		"AddressNotAllowed: Service default/web has the cluster IP 2001:db8:9::1 outside of the service ranges: it is not announced"))
}

func TestCount(t *testing.T) {
	NewWithT(t).Expect(announce.Count("a", []announce.Endpoint{
		{Node: "a", Ready: true, Serving: true}, {Node: "b", Ready: true, Serving: true},
		{Node: "a", Serving: true, Terminating: true}, {Node: "b", Serving: true, Terminating: true},
		{Node: "a", Terminating: true}, {Node: "a"}, {Node: "a", Serving: true},
		{Ready: true, Serving: true},
	})).To(Equal(announce.Endpoints{Ready: 3, ReadyHere: 1, Ending: 2, EndingHere: 1}))
}
