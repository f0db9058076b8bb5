// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package dataplanetest is the conformance suite of the data plane: what every dataplane.Wirer and dataplane.Host must do.
package dataplanetest

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	. "github.com/onsi/gomega" //nolint:revive,staticcheck // the assertions' own language

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Machine is a node to test on. It has an interface eth0 with 2001:db8:cafe::1/64.
type Machine struct {
	dataplane.Wirer
	dataplane.Host
	// Netns makes a pod's network namespace.
	Netns func(t *testing.T) *os.File
	// AddRoute puts someone else's route in place, and Routes returns all there are to 2001:db8:1::/48, as Route.String does.
	AddRoute func(t *testing.T, r dataplane.Route)
	Routes   func(t *testing.T) []string
}

// Run runs the suite; make is called in the goroutine of each test.
func Run(t *testing.T, fresh func(t *testing.T) Machine) {
	for name, test := range map[string]func(*testing.T, Machine){
		"a wire is made, found, checked and removed": life,
		"what is right stays":                        idempotent,
		"what changed is made anew":                  remade,
		"invalid wires are refused":                  invalid,
		"foreign interfaces are not removed":         notOurs,
		"routes come and go":                         routes,
		"others' routes stay":                        othersRoutes,
		"imported routes have several next hops":     imported,
		"rules come and go":                          rules,
		"tunnels come, change and go":                tunnels,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func wire(addrs ...string) dataplane.Wire {
	w := dataplane.Wire{HostInterface: dataplane.HostInterface("a/eth0"), PodInterface: "eth0", Owner: "a/eth0 net", MTU: 1500}
	for _, a := range addrs {
		w.Addrs = append(w.Addrs, netip.MustParseAddr(a))
	}
	return w
}

func life(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	ns, w := m.Netns(t), wire("2001:db8:1::1", "10.0.0.1")
	g.Expect(m.Exists(ctx, w.HostInterface)).To(BeFalse())
	g.Expect(m.List(ctx)).To(BeEmpty())
	g.Expect(m.Check(ctx, ns, w)).To(ContainElement(fmt.Sprintf("interface %s is missing", w.HostInterface)))

	g.Expect(m.Wire(ctx, ns, w)).To(Succeed())
	g.Expect(m.Exists(ctx, w.HostInterface)).To(BeTrue())
	g.Expect(m.Check(ctx, ns, w)).To(BeEmpty())
	found, err := m.List(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(1))
	g.Expect(found[0].Addrs).To(ConsistOf(w.Addrs))
	found[0].Addrs = nil
	g.Expect(found[0]).To(Equal(dataplane.FoundWire{HostInterface: w.HostInterface, Owner: "a/eth0 net", MTU: 1500}))

	g.Expect(m.Unwire(ctx, w.HostInterface)).To(Succeed())
	g.Expect(m.Exists(ctx, w.HostInterface)).To(BeFalse())
	g.Expect(m.List(ctx)).To(BeEmpty())
	g.Expect(m.Unwire(ctx, w.HostInterface)).To(Succeed(), "twice")
}

func idempotent(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	ns, w := m.Netns(t), wire("2001:db8:1::1")
	g.Expect(m.Wire(ctx, ns, w)).To(Succeed())
	g.Expect(m.Wire(ctx, ns, w)).To(Succeed())
	g.Expect(m.Check(ctx, ns, w)).To(BeEmpty())
	g.Expect(m.List(ctx)).To(HaveLen(1))
}

func remade(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	ns, old, w := m.Netns(t), wire("2001:db8:1::1"), wire("2001:db8:1::2")
	g.Expect(m.Wire(ctx, ns, old)).To(Succeed())
	w.MTU = 1400
	g.Expect(m.Check(ctx, ns, w)).To(ContainElements(
		"in the pod: interface eth0 lacks the address 2001:db8:1::2/128", fmt.Sprintf("interface %s has MTU 1500, want 1400", w.HostInterface)))
	g.Expect(m.Wire(ctx, ns, w)).To(Succeed())
	g.Expect(m.Check(ctx, ns, w)).To(BeEmpty())
	g.Expect(m.Check(ctx, ns, old)).NotTo(BeEmpty())
}

func invalid(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	ns := m.Netns(t)
	for what, spoil := range map[string]func(*dataplane.Wire){
		"no address":     func(w *dataplane.Wire) { w.Addrs = nil },
		"two a family":   func(w *dataplane.Wire) { w.Addrs = append(w.Addrs, netip.MustParseAddr("2001:db8:1::2")) },
		"link-local":     func(w *dataplane.Wire) { w.Addrs[0] = netip.MustParseAddr("fe80::2") },
		"mapped":         func(w *dataplane.Wire) { w.Addrs[0] = netip.MustParseAddr("::ffff:10.0.0.1") },
		"foreign name":   func(w *dataplane.Wire) { w.HostInterface = "eth1" },
		"long name":      func(w *dataplane.Wire) { w.PodInterface = "sixteen_letters_" },
		"tiny MTU":       func(w *dataplane.Wire) { w.MTU = 1279 },
		"talkative name": func(w *dataplane.Wire) { w.Owner = fmt.Sprintf("%256d", 1) },
	} {
		w := wire("2001:db8:1::1")
		spoil(&w)
		g.Expect(m.Wire(ctx, ns, w)).NotTo(Succeed(), what)
	}
	g.Expect(m.List(ctx)).To(BeEmpty())
}

func notOurs(t *testing.T, m Machine) {
	g := NewWithT(t)
	g.Expect(m.Unwire(t.Context(), "eth0")).To(MatchError("unwire eth0: the interface is not ours"))
}

func peer(dst, via string) dataplane.Route {
	return dataplane.Route{
		Dst: netip.MustParsePrefix(dst), Via: netip.MustParseAddr(via), Device: "eth0", OnLink: true,
		Metric: dataplane.MetricPeer, Protocol: dataplane.ProtocolNode,
	}
}

func routes(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	own := dataplane.Route{
		Dst: netip.MustParsePrefix("2001:db8:1::/64"), Type: dataplane.Unreachable, Metric: dataplane.MetricUnreachable, Protocol: dataplane.ProtocolNode,
	}
	a, b, moved := peer("2001:db8:1:a::/64", "2001:db8:cafe::a"), peer("2001:db8:1:b::/64", "2001:db8:cafe::b"), peer("2001:db8:1:a::/64", "2001:db8:cafe::c")
	g.Expect(m.Apply(ctx, dataplane.State{Routes: []dataplane.Route{own, a}})).To(Equal(dataplane.Changes{Added: []dataplane.Route{own, a}}))
	g.Expect(m.Routes(t)).To(ConsistOf(
		"unreachable 2001:db8:1::/64 proto 146 metric 65535", "2001:db8:1:a::/64 via 2001:db8:cafe::a dev eth0 proto 146 metric 146 onlink"))
	g.Expect(m.Apply(ctx, dataplane.State{Routes: []dataplane.Route{own, a}})).To(Equal(dataplane.Changes{}), "nothing to do")
	g.Expect(m.Apply(ctx, dataplane.State{KeepRoutes: true})).To(Equal(dataplane.Changes{}), "nothing is known of routes")
	g.Expect(m.Routes(t)).To(HaveLen(2))
	g.Expect(m.Apply(ctx, dataplane.State{Routes: []dataplane.Route{moved, b}})).To(Equal(dataplane.Changes{
		Added: []dataplane.Route{b}, Replaced: []dataplane.Route{moved}, Deleted: []dataplane.Route{own}}))
	g.Expect(m.Routes(t)).To(ConsistOf(moved.String(), b.String()))
	g.Expect(m.Apply(ctx, dataplane.State{})).To(Equal(dataplane.Changes{Deleted: []dataplane.Route{moved, b}}))
	g.Expect(m.Routes(t)).To(BeEmpty())
}

func othersRoutes(t *testing.T, m Machine) {
	g, ctx := NewWithT(t), t.Context()
	theirs := peer("2001:db8:1:a::/64", "2001:db8:cafe::f")
	theirs.Protocol = 4
	m.AddRoute(t, theirs)
	pods := peer("2001:db8:1:b::/64", "2001:db8:cafe::f")
	pods.Protocol = dataplane.ProtocolPod
	m.AddRoute(t, pods)
	a, c := peer("2001:db8:1:a::/64", "2001:db8:cafe::a"), peer("2001:db8:1:c::/64", "2001:db8:cafe::c")
	done, err := m.Apply(ctx, dataplane.State{Routes: []dataplane.Route{a, c}})
	g.Expect(err).To(BeAssignableToTypeOf(&dataplane.ApplyError{}))
	g.Expect(err).To(MatchError(HavePrefix("add route " + a.String() + ": someone else's route is in its place")))
	g.Expect(done).To(Equal(dataplane.Changes{Added: []dataplane.Route{c}}), "one route's failure does not stop the others")
	g.Expect(m.Apply(ctx, dataplane.State{})).To(Equal(dataplane.Changes{Deleted: []dataplane.Route{c}}))
	g.Expect(m.Routes(t)).To(ConsistOf(theirs.String(), pods.String()))
}
