// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package announce_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// anyInput is a cluster by chance, with addresses inside and outside of what may be announced.
func anyInput(r *rand.Rand) announce.Input {
	in := input()
	flag := func() bool { return r.IntN(2) == 0 }
	policy := func() announce.Policy { return []announce.Policy{"", announce.Cluster, announce.Local}[r.IntN(3)] }
	endpoints := func() announce.Endpoints {
		e := announce.Endpoints{ReadyHere: r.IntN(2), EndingHere: r.IntN(2)}
		e.Ready, e.Ending = e.ReadyHere+r.IntN(2), e.EndingHere+r.IntN(2)
		return e
	}
	address := func() netip.Addr {
		return addr(fmt.Sprintf([]string{"2001:db8:2::%x", "2001:db8:5::%x", "10.96.0.%d", "198.51.100.%d", "2001:db8:1:b::%x", "fe80::%x", "203.0.113.%d"}[r.IntN(7)], r.IntN(9)))
	}
	for i := range r.IntN(20) {
		s := announce.Service{
			Namespace: "n", Name: fmt.Sprint(i), Type: []announce.ServiceType{announce.ClusterIP, announce.NodePort, announce.LoadBalancer, announce.ExternalName}[r.IntN(4)],
			ExternalPolicy: policy(), InternalPolicy: policy(),
			Endpoints: map[bgp.Family]announce.Endpoints{bgp.IPv6Unicast: endpoints(), bgp.IPv4Unicast: endpoints()},
		}
		for range r.IntN(3) {
			s.ClusterIPs = append(s.ClusterIPs, address())
			s.ExternalIPs = append(s.ExternalIPs, address())
			s.Ingress = append(s.Ingress, announce.Ingress{Address: address(), Proxy: r.IntN(4) == 0})
		}
		if r.IntN(8) == 0 {
			s.ProxyName = "other"
		}
		in.Services = append(in.Services, s)
	}
	in.Config.Advertise = announce.Advertise{NodePrefixes: flag(), ServiceRange: flag(), ClusterIPs: flag(), LoadBalancerIPs: flag(), ExternalIPs: flag()}
	return in
}

func told(in announce.Input) map[netip.Prefix]bool {
	set := map[netip.Prefix]bool{}
	for _, a := range announce.Decide(in).Desired.Advertisements {
		set[a.Prefix] = true
	}
	return set
}

// Every announcement is a range of the input, or the address of a Service within a range that may be announced.
func checkOrigin(t *testing.T, in announce.Input) {
	t.Helper()
	out := announce.Decide(in)
	ranges := slices.Concat(in.Node.Prefixes, in.Node.PodRanges, in.ServiceCIDRs)
	addresses := map[netip.Addr]bool{}
	for _, s := range in.Services {
		for _, a := range slices.Concat(s.ClusterIPs, s.ExternalIPs) {
			addresses[a] = true
		}
		for _, i := range s.Ingress {
			addresses[i.Address] = true
		}
	}
	blocked := map[netip.Prefix]bool{}
	for _, p := range out.Unreachable {
		blocked[p] = true
	}
	for _, a := range out.Desired.Advertisements {
		p := a.Prefix
		if slices.Contains(ranges, p) {
			continue
		}
		allowed := slices.Concat(in.ServiceCIDRs, in.Pools)
		inside := slices.ContainsFunc(allowed, func(q netip.Prefix) bool { return q.Contains(p.Addr()) })
		if !p.IsSingleIP() || !addresses[p.Addr()] || !inside {
			t.Fatalf("%s is announced and nobody's, in %+v", p, in)
		}
		if !slices.ContainsFunc(out.Unreachable, func(q netip.Prefix) bool { return q.Contains(p.Addr()) }) {
			t.Fatalf("%s is announced and would loop, in %+v", p, in)
		}
	}
	if err := out.Desired.Validate(); err != nil {
		t.Fatalf("%v, in %+v", err, in)
	}
}

// checkMonotone: what takes something away never adds an announcement.
func checkMonotone(t *testing.T, in announce.Input) {
	t.Helper()
	before := told(in)
	for name, less := range map[string]func(announce.Input) announce.Input{
		"draining": func(in announce.Input) announce.Input { in.Node.Phase = announce.Draining; return in },
		"leaving":  func(in announce.Input) announce.Input { in.Node.Phase = announce.Leaving; return in },
		"excluded": func(in announce.Input) announce.Input {
			in.Node.Labels = map[string]string{announce.ExcludeLabel: ""}
			return in
		},
		"fewer services": func(in announce.Input) announce.Input { in.Services = in.Services[:len(in.Services)/2]; return in },
		"no pools":       func(in announce.Input) announce.Input { in.Pools = nil; return in },
		"no endpoints": func(in announce.Input) announce.Input {
			in.Services = slices.Clone(in.Services)
			for i := range in.Services {
				in.Services[i].Endpoints = nil
			}
			return in
		},
		"no range": func(in announce.Input) announce.Input { in.Config.Advertise.ServiceRange = false; return in },
	} {
		for p := range told(less(in)) {
			if !before[p] {
				t.Fatalf("%s: %s is announced now and was not before, in %+v", name, p, in)
			}
		}
	}
	draining, leaving := in, in
	draining.Node.Phase, leaving.Node.Phase = announce.Draining, announce.Leaving
	if n := len(told(leaving)); n != 0 {
		t.Fatalf("a leaving node announces %d prefixes", n)
	}
	for p := range told(draining) {
		if !slices.Contains(in.Node.PodRanges, p) {
			t.Fatalf("a draining node announces %s", p)
		}
	}
}

func check(t *testing.T, seed uint64) {
	t.Helper()
	in := anyInput(rand.New(rand.NewPCG(seed, 1)))
	checkOrigin(t, in)
	checkMonotone(t, in)
	shuffled := in
	shuffled.Services, shuffled.Others = slices.Clone(in.Services), slices.Clone(in.Others)
	slices.Reverse(shuffled.Services)
	slices.Reverse(shuffled.Others)
	if a, b := announce.Decide(in), announce.Decide(shuffled); !reflect.DeepEqual(a, b) {
		t.Fatalf("the order of the input matters: %+v and %+v", a, b)
	}
}

func TestProperties(t *testing.T) {
	for seed := range uint64(2000) {
		check(t, seed)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { check(t, seed) })
}

// A thousand Services on a thousand nodes, every second one announced.
func BenchmarkDecide(b *testing.B) {
	in := input()
	in.Config.Advertise = announce.Advertise{NodePrefixes: true, ServiceRange: true, LoadBalancerIPs: true, ExternalIPs: true}
	in.Others = nil
	for i := range 999 {
		in.Others = append(in.Others, announce.Node{
			Name: fmt.Sprintf("node-%d", i), Addresses: []netip.Addr{addr(fmt.Sprintf("2001:db8::1:%x", i))},
			PodRanges: []netip.Prefix{pfx(fmt.Sprintf("2001:db8:1:0:%x::/80", i))},
		})
	}
	for i := range 1000 {
		s := service(fmt.Sprintf("2001:db8:2::%x", i+1))
		if i%2 == 0 {
			s.Type = announce.LoadBalancer
			s.Ingress = []announce.Ingress{{Address: addr(fmt.Sprintf("2001:db8:5::%x", i+1))}}
		}
		in.Services = append(in.Services, s)
	}
	b.ReportAllocs()
	for b.Loop() {
		if out := announce.Decide(in); len(out.Desired.Advertisements) != 504 {
			b.Fatal(len(out.Desired.Advertisements))
		}
	}
}
