// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// one is a node of its own, ready for pods.
func one(t testing.TB) *node {
	_, nodes := cluster(t, v6(), n1())
	return nodes[0]
}

// hostInterface is the name of the host's end of a pod's wire.
func (p *pod) hostInterface() string { return dataplane.HostInterface(p.id + "/eth0") }

// records are the names of the files in the store.
func (n *node) records(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(n.file.path("addresses"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// wires are the names of the hosts' ends.
func (n *node) wires(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, l := range lines(n.ip(t, "-o", "link", "show", "type", "veth")) {
		if name, _, _ := strings.Cut(strings.Fields(l)[1], "@"); strings.HasPrefix(name, "v6p") {
			out = append(out, name)
		}
	}
	return out
}

func TestResultOfAdd(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	p := n.newPod(t, "a").add(t)
	mac := func(s *space, name string) string {
		var out []struct{ Address string }
		g.Expect(json.Unmarshal([]byte(s.ip(t, "-j", "link", "show", "dev", name)), &out)).To(Succeed())
		return out[0].Address
	}
	g.Expect(p.result).To(MatchJSON(fmt.Sprintf(`{
		"cniVersion": "1.1.0",
		"interfaces": [{"name": %q, "mac": %q, "mtu": 1500}, {"name": "eth0", "mac": %q, "mtu": 1500, "sandbox": %q}],
		"ips": [{"interface": 1, "address": "fd00:10::1:d000:1/128", "gateway": "fe80::1"}],
		"routes": [{"dst": "::/0", "gw": "fe80::1"}]
	}`, p.hostInterface(), mac(n.space, p.hostInterface()), mac(p.space, "eth0"), p.path)))

	// The same again gives the same: a runtime that did not hear the answer may ask again.
	first := p.result
	g.Expect(p.add(t).result).To(MatchJSON(first))
	g.Expect(n.records(t)).To(Equal([]string{"a:eth0.json"}))
}

func TestAnAddressIsUsableAtOnce(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	n.echo(t, netip.MustParseAddr("fd00:cafe::11"))
	p := n.newPod(t, "a").add(t)
	// Not one packet is waited for: an address under duplicate address detection could not send it.
	g.Expect(p.ask(t, netip.MustParseAddr("fd00:cafe::11"))).To(Equal("fd00:10::1:d000:1"))
	g.Expect(p.ip(t, "-6", "addr", "show", "tentative")).To(BeEmpty())
	g.Expect(n.ip(t, "-6", "addr", "show", "tentative")).To(BeEmpty())
}

func TestMTU(t *testing.T) {
	needsRoot(t)
	for name, c := range map[string]struct{ configured, uplink, want int }{
		"of the uplink": {0, 1400, 1400},
		"as configured": {1420, 1500, 1420},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			l := newLink(t)
			cfg := v6()
			cfg.MTU = c.configured
			n := newNode(t, "n1", cfg)
			l.plug(n.space, "fd00:cafe::11/64")
			n.ip(t, "link", "set", "eth0", "mtu", fmt.Sprint(c.uplink))
			n.file.View = viewOf(agent.Node{Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("fd00:cafe::11")}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::/100")}})
			n.start()
			n.ready()
			p := n.newPod(t, "a").add(t)
			want := fmt.Sprintf("mtu %d ", c.want)
			g.Expect(p.ip(t, "link", "show", "eth0")).To(ContainSubstring(want))
			g.Expect(n.ip(t, "link", "show", p.hostInterface())).To(ContainSubstring(want))
			g.Expect(string(p.result)).To(ContainSubstring(fmt.Sprintf(`"mtu": %d`, c.want)))
			g.Expect(p.try("CHECK")).To(Succeed())
		})
	}
}

func TestCheckFindsTampering(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	p := n.newPod(t, "a").add(t)
	host := p.hostInterface()
	g.Expect(p.try("CHECK")).To(Succeed())
	for _, c := range []struct {
		what, want string
		do         func()
	}{
		{"the pod's MTU", "in the pod: interface eth0 has MTU 1400, want 1500", func() { p.ip(t, "link", "set", "eth0", "mtu", "1400") }},
		{"the pod's route", "in the pod: the route ::/0 via fe80::1 dev eth0 proto 147 onlink is missing", func() { p.ip(t, "-6", "route", "del", "default") }},
		{"the pod's address", "in the pod: interface eth0 lacks the address fd00:10::1:d000:1/128", func() { p.ip(t, "addr", "del", "fd00:10::1:d000:1/128", "dev", "eth0") }},
		{"the pod's gateway", "in the pod: the neighbour fe80::1 is missing on eth0", func() { p.ip(t, "neigh", "del", "fe80::1", "dev", "eth0") }},
		{"another gateway", "in the pod: the neighbour fe80::1 on eth0 is not", func() {
			p.ip(t, "neigh", "replace", "fe80::1", "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent")
		}},
		{"the pod's sysctl", "in the pod: sysctl net/ipv6/conf/eth0/accept_ra is 1, want 0", func() { p.sysctl(t, "net/ipv6/conf/eth0/accept_ra", "1") }},
		{"the host's route", "the route fd00:10::1:d000:1/128 dev " + host + " proto 147 is missing", func() { n.ip(t, "route", "del", "fd00:10::1:d000:1", "dev", host) }},
		{"the host's gateway address", "interface " + host + " lacks the address fe80::1/64", func() { n.ip(t, "addr", "del", "fe80::1/64", "dev", host) }},
		{"the host's sysctl", "sysctl net/ipv6/conf/" + host + "/accept_ra is 2, want 0", func() { n.sysctl(t, "net/ipv6/conf/"+host+"/accept_ra", "2") }},
		{"the host's end is down", "interface " + host + " is down", func() { n.ip(t, "link", "set", host, "down") }},
		{"the pod's MAC", "in the pod: interface eth0 has address 02:00:00:00:00:02", func() { p.ip(t, "link", "set", "eth0", "address", "02:00:00:00:00:02") }},
		{"the wire is gone", "interface " + host + " is missing", func() { n.ip(t, "link", "del", host) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := NewWithT(t)
			c.do()
			err := p.try("CHECK")
			g.Expect(err).To(MatchError(ContainSubstring(c.want)))
			g.Expect(code(err)).To(Equal(uint(100)))
			// ADD puts it right again.
			g.Expect(p.try("ADD")).To(Succeed())
			g.Expect(p.try("CHECK")).To(Succeed())
		})
	}
	t.Run("the runtime believes in another address", func(t *testing.T) {
		g := NewWithT(t)
		p.result = []byte(strings.Replace(string(p.result), "d000:1/128", "d000:2/128", 1))
		g.Expect(p.try("CHECK")).To(MatchError(ContainSubstring("the runtime believes in addresses [fd00:10::1:d000:2], the agent gave [fd00:10::1:d000:1]")))
	})
	t.Run("never added", func(t *testing.T) {
		g := NewWithT(t)
		q := n.newPod(t, "b")
		q.result = p.result
		g.Expect(q.try("CHECK")).To(MatchError(ContainSubstring("no record")))
	})
}

func TestDel(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)

	p := n.newPod(t, "a").add(t)
	g.Expect(p.try("DEL")).To(Succeed())
	g.Expect(n.records(t)).To(BeEmpty())
	g.Expect(n.wires(t)).To(BeEmpty())
	g.Expect(p.ip(t, "link", "show")).NotTo(ContainSubstring("eth0"))
	g.Expect(p.try("DEL")).To(Succeed(), "twice")

	p = n.newPod(t, "b").add(t)
	p.remove()
	g.Expect(p.try("DEL")).To(Succeed(), "the namespace is gone, its path given")
	_, err := n.cni("DEL", "b", "", nil)
	g.Expect(err).NotTo(HaveOccurred(), "no path given")
	_, err = n.cni("DEL", "never-seen", "/run/netns/none", nil)
	g.Expect(err).NotTo(HaveOccurred(), "nothing known")
	g.Expect(n.records(t)).To(BeEmpty())
}

func TestANamespaceThatVanishesIsNoticed(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	p := n.newPod(t, "a").add(t)
	p.remove()
	g.Eventually(func() []string { return n.records(t) }, "10s", "50ms").Should(BeEmpty())
}

func TestDelWithoutAgentLeaksNothing(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	gone, stays := n.newPod(t, "gone").add(t), n.newPod(t, "stays").add(t)
	g.Expect(n.signal(os.Kill)).To(MatchError("signal: killed"))

	g.Expect(gone.try("DEL")).To(Succeed(), "a pod's end must not wait for the agent")
	gone.remove() // as the runtime does next
	g.Expect(code(n.newPod(t, "new").try("ADD"))).To(Equal(uint(11)), "try again later")
	_, err := n.cni("STATUS", "", "", nil)
	g.Expect(code(err)).To(Equal(uint(50)))
	g.Expect(code(stays.try("CHECK"))).To(Equal(uint(11)))
	g.Eventually(func() []string { return n.wires(t) }, "10s", "20ms").Should(Equal([]string{stays.hostInterface()}))

	n.start()
	n.ready()
	g.Expect(n.records(t)).To(Equal([]string{"stays:eth0.json"}))
	g.Expect(stays.try("CHECK")).To(Succeed())
}

func TestGC(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	keep, drop := n.newPod(t, "keep").add(t), n.newPod(t, "drop").add(t)
	gc := func(network string, ids ...string) {
		valid := []map[string]string{}
		for _, id := range ids {
			valid = append(valid, map[string]string{"containerID": id, "ifname": "eth0"})
		}
		_, err := n.cni("GC", "", "", map[string]any{"name": network, "cni.dev/valid-attachments": valid})
		g.Expect(err).NotTo(HaveOccurred())
	}
	gc("another-network")
	g.Expect(n.records(t)).To(HaveLen(2), "another network's collection is not ours")
	gc("ipv6", "keep", "unknown")
	g.Expect(n.records(t)).To(Equal([]string{"keep:eth0.json"}))
	g.Expect(n.wires(t)).To(Equal([]string{keep.hostInterface()}))
	g.Expect(keep.try("CHECK")).To(Succeed())
	g.Expect(drop.try("CHECK")).NotTo(Succeed())
	gc("ipv6")
	g.Expect(n.records(t)).To(BeEmpty())
	g.Expect(n.wires(t)).To(BeEmpty())
}

func TestAFailedAddLeavesNothing(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	n := one(t)
	p := n.newPod(t, "a")
	p.ip(t, "link", "add", "eth0", "type", "bridge") // in the way
	g.Expect(p.try("ADD")).To(MatchError(ContainSubstring("the network namespace has an interface eth0 already")))
	g.Expect(n.records(t)).To(BeEmpty())
	g.Expect(n.wires(t)).To(BeEmpty())
	g.Expect(p.ip(t, "link", "show", "eth0")).To(ContainSubstring("eth0"), "what was there stays")
}
