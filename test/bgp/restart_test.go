// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// settled is how long after a session has come up whatever could go wrong with its routes has gone wrong.
const settled = time.Second

const helper = "graceful restart on; graceful restart time 60;"

func restarting(prefixes ...string) bgp.Desired {
	d := desired(tor(), prefixes...)
	d.GracefulRestart = bgp.GracefulRestart{Enabled: true, Time: time.Minute}
	return d
}

// Whether the process ends by itself or is killed: the router goes on sending, and no route changes in its kernel.
func TestARestartLosesNoRoute(t *testing.T) {
	for _, how := range []string{"left", "killed"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t, helper, "")
			l.speaker.apply(restarting("2001:db8:2::/80"))
			l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
			monitor := follow(t, l.router.space)

			if how == "left" {
				if _, err := l.speaker.order(order{Leave: true}); err != nil {
					t.Fatal(err)
				}
			}
			l.speaker.kill()
			l.Eventually(func() string { return l.router.ask("show", "protocols", "node") }).WithTimeout(soon).ShouldNot(ContainSubstring("Established"))
			l.Expect(l.router.routes("2001:db8:2::/80")).NotTo(BeEmpty())

			l.speaker = start(t, l.node, "restarting")
			l.speaker.apply(restarting("2001:db8:2::/80"))
			l.established()
			l.Consistently(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(settled).ShouldNot(BeEmpty())
			l.Expect(monitor()).NotTo(ContainSubstring("Deleted"), "what happened in the router's kernel")
		})
	}
}

// Two routers, and one of them can be reached only when the other one has told all that it knows: neither loses a route.
func TestARestartWithTwoRoutersLosesNoRoute(t *testing.T) {
	l := newLab(t, helper, "")
	late := newSpace(t, "late")
	linkNamed(l.node, late, "eth1", "eth0", []string{"2001:db8:9::2/64"}, []string{"2001:db8:9::1/64"})
	second := bird(t, late, "192.0.2.9", `
protocol bgp node {
  local as 65009;
  neighbor 2001:db8:9::2 as 65001;
  passive; `+helper+`
  ipv6 { import all; export none; };
}
`)
	d := restarting("2001:db8:2::/80")
	d.Peers = append(d.Peers, tor())
	d.Peers[1].Address, d.Peers[1].ASN = netip.MustParseAddr("2001:db8:9::1"), 65009
	l.speaker.apply(d)
	both := func() string { return l.router.routes("2001:db8:2::/80") + second.routes("2001:db8:2::/80") }
	l.Eventually(both).WithTimeout(soon).Should(And(ContainSubstring("2001:db8:1::2"), ContainSubstring("2001:db8:9::2")))
	first, other := follow(t, l.router.space), follow(t, late)

	l.speaker.kill()
	l.Eventually(func() string { return second.ask("show", "protocols", "node") }).WithTimeout(soon).ShouldNot(ContainSubstring("Established"))
	late.run("nft", "add table inet late; add chain inet late in { type filter hook input priority 0; }; add rule inet late in tcp dport 179 drop")
	l.speaker = start(t, l.node, "restarting")
	l.speaker.apply(d)
	l.established()
	l.Consistently(both).WithTimeout(settled).Should(And(ContainSubstring("2001:db8:1::2"), ContainSubstring("2001:db8:9::2")))
	late.run("nft", "delete", "table", "inet", "late")
	l.Eventually(func() bgp.SessionState { return l.speaker.status().Sessions[1].State }).WithTimeout(soon).Should(Equal(bgp.Established))
	l.Consistently(both).WithTimeout(settled).Should(And(ContainSubstring("2001:db8:1::2"), ContainSubstring("2001:db8:9::2")))
	l.Expect(first()).NotTo(ContainSubstring("Deleted"), "what happened in the first router's kernel")
	l.Expect(other()).NotTo(ContainSubstring("Deleted"), "what happened in the second router's kernel")
}

// The connection breaks, and nobody restarts.
func TestABrokenConnectionLosesNoRoute(t *testing.T) {
	l := newLab(t, helper, "")
	l.speaker.apply(restarting("2001:db8:2::/80"))
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	monitor := follow(t, l.router.space)
	l.node.run("ss", "-K", "dport", "=", "179")
	l.Eventually(l.flaps).WithTimeout(soon).Should(BeEquivalentTo(1))
	l.established()
	l.Consistently(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(settled).ShouldNot(BeEmpty())
	l.Expect(monitor()).NotTo(ContainSubstring("Deleted"), "what happened in the router's kernel")
}

// Whoever is away for longer than it said has lost its routes, and gets them back.
func TestARestartTakesTooLong(t *testing.T) {
	l := newLab(t, helper, "")
	d := restarting("2001:db8:2::/80")
	d.GracefulRestart.Time = 2 * time.Second
	l.speaker.apply(d)
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	l.speaker.kill()
	l.Consistently(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(time.Second).ShouldNot(BeEmpty())
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(BeEmpty())

	l.speaker = start(t, l.node, "restarting")
	l.speaker.apply(d)
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
}

// What was announced before and is not any more goes when the restarted speaker has said what it has to.
func TestStaleRoutesGo(t *testing.T) {
	l := newLab(t, helper, "")
	l.speaker.apply(restarting("2001:db8:2::/80", "2001:db8:3::/80"))
	l.Eventually(func() string { return l.router.routes("2001:db8:3::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	l.speaker.kill()
	l.speaker = start(t, l.node, "restarting")
	l.speaker.apply(restarting("2001:db8:2::/80"))
	l.Eventually(func() string { return l.router.routes("2001:db8:3::/80") }).WithTimeout(soon).Should(BeEmpty())
	l.Expect(l.router.routes("2001:db8:2::/80")).NotTo(BeEmpty())
}

// With a router that has no graceful restart, the routes go with the session, and come back: after no deferral.
func TestRestartWithARouterThatHasNone(t *testing.T) {
	l := newLab(t, "graceful restart off;", "")
	l.speaker.apply(restarting("2001:db8:2::/80"))
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	l.speaker.kill()
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(BeEmpty())
	l.speaker = start(t, l.node, "restarting")
	l.speaker.apply(restarting("2001:db8:2::/80"))
	l.established()
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(3 * time.Second).ShouldNot(BeEmpty())
}

// The router restarts: what it told stays with us meanwhile, and its graceful restart is not ours to switch on.
func TestTheRouterRestarts(t *testing.T) {
	l := newLab(t, "graceful restart on;", statics)
	d := restarting("2001:db8:2::/80")
	d.Peers[0].Import = bgp.ImportDefault
	l.speaker.apply(d)
	l.Eventually(l.prefixes).WithTimeout(soon).Should(Equal([]string{"::/0"}))
	l.Expect(l.router.process.Kill()).To(Succeed())
	l.Eventually(l.flaps).WithTimeout(soon).Should(BeEquivalentTo(1))
	l.Consistently(l.prefixes).WithTimeout(time.Second).Should(Equal([]string{"::/0"}))
}

func TestWithdrawIsSeenAtOnce(t *testing.T) {
	l := newLab(t, helper, "")
	l.speaker.apply(restarting("2001:db8:2::/80"))
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	if _, err := l.speaker.order(order{Withdraw: true}); err != nil {
		t.Fatal(err)
	}
	l.Eventually(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(2 * time.Second).Should(BeEmpty())
}

// follow records what happens to the routes of a namespace's kernel.
func follow(t *testing.T, s *space) func() string {
	t.Helper()
	var log strings.Builder
	cmd := s.command("ip", "-6", "monitor", "route")
	cmd.Stdout = &log
	if err := s.within(cmd.Start); err != nil {
		t.Fatal(err)
	}
	return func() string {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return log.String()
	}
}
