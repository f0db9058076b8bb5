// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/linkprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/sourcetest"
)

// advertised is a prefix in a router's advertisements, with its lifetimes in seconds.
type advertised struct {
	prefix           string
	valid, preferred int
	// noAddress: nodes do not make addresses of it.
	noAddress bool
}

// radvd advertises from the namespace, every three seconds at most.
func radvd(s *space, prefixes ...advertised) *daemon {
	s.t.Helper()
	dir := s.t.TempDir()
	var b strings.Builder
	b.WriteString("interface eth0 {\n  AdvSendAdvert on;\n  MinRtrAdvInterval 3;\n  MaxRtrAdvInterval 4;\n")
	for _, p := range prefixes {
		autonomous := "on"
		if p.noAddress {
			autonomous = "off"
		}
		fmt.Fprintf(&b, "  prefix %s { AdvOnLink on; AdvAutonomous %s; AdvValidLifetime %d; AdvPreferredLifetime %d; };\n",
			p.prefix, autonomous, p.valid, p.preferred)
	}
	b.WriteString("};\n")
	config := filepath.Join(dir, "radvd.conf")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return launch(s, nil, "syntax ok", "radvd", "-n", "-d", "1", "-m", "stderr", "-C", config, "-p", filepath.Join(dir, "pid"))
}

func link(bits int) setup { return setup{Link: &linkprefix.Options{Interface: "eth0", Bits: bits}} }

func TestLinkConformance(t *testing.T) {
	node, router := newLink(t)
	radvd(router, advertised{prefix: "2001:db8:1::/64", valid: 600, preferred: 300})
	sourcetest.Run(t, start(t, node, link(0)), func() { node.run("ip", "address", "add", "2001:db8:2::2/64", "dev", "eth0") })
}

func TestLinkLearnsAndRenumbers(t *testing.T) {
	node, router := newLink(t)
	d := radvd(router, advertised{prefix: "2001:db8:1::/64", valid: 600, preferred: 300})
	source := start(t, node, link(0))
	source.gives("2001:db8:1::/64")
	g := NewWithT(t)
	ps, err := source.Prefixes(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ps[0].ValidUntil).To(BeTemporally("~", time.Now().Add(600*time.Second), 10*time.Second))
	g.Expect(ps[0].Origin).To(Equal("link of eth0"))

	d.stop()
	radvd(router, advertised{prefix: "2001:db8:1::/64", valid: 600, preferred: 0}, advertised{prefix: "2001:db8:2::/64", valid: 600, preferred: 300})
	source.gives("2001:db8:2::/64,2001:db8:1::/64 deprecated")
}

// A prefix that is advertised no more ends with its lifetime, though nobody says a word.
func TestLinkExpires(t *testing.T) {
	node, router := newLink(t)
	d := radvd(router, advertised{prefix: "2001:db8:1::/64", valid: 5, preferred: 5, noAddress: true})
	source := start(t, node, link(0))
	source.gives("2001:db8:1::/64")
	NewWithT(t).Expect(d.cmd.Process.Kill()).To(Succeed(), "a router that goes away without a word")
	last := ""
	NewWithT(t).Eventually(func() string {
		select {
		case <-source.Changed(): // it is asked only when it says so
			last = source.now()
		default:
		}
		return last
	}).WithTimeout(12 * time.Second).Should(ContainSubstring("the node has no prefix there"))
}

// The part that is given holds no address of the node, stays the same, and moves when an address comes to lie in it.
func TestLinkPart(t *testing.T) {
	node, router := newLink(t)
	radvd(router, advertised{prefix: "2001:db8:1::/64", valid: 600, preferred: 300})
	source := start(t, node, link(80))
	source.gives("2001:db8:1:0:ffff::/80")
	own := netip.MustParseAddr("2001:db8:1:0:0:5eff:fe10:1")
	NewWithT(t).Expect(node.run("ip", "-6", "address", "show", "dev", "eth0")).To(ContainSubstring(own.String()), "the node's own, of its hardware address")

	node.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "rehto")
	node.run("ip", "address", "add", "2001:db8:1:0:ffff::1/128", "dev", "other")
	source.gives("2001:db8:1:0:fffe::/80")
	node.run("ip", "address", "delete", "2001:db8:1:0:ffff::1/128", "dev", "other")
	NewWithT(t).Consistently(source.now).WithTimeout(time.Second).Should(Equal("2001:db8:1:0:fffe::/80"), "what was given stays")
}

// The kernel of a node that forwards heeds no advertisements unless told so. The error knows.
func TestLinkWithoutAcceptRA(t *testing.T) {
	node, router := newLink(t)
	node.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
	radvd(router, advertised{prefix: "2001:db8:1::/64", valid: 600, preferred: 300})
	source := start(t, node, link(0))
	NewWithT(t).Expect(source.now()).To(ContainSubstring("net.ipv6.conf.eth0.accept_ra is 1 and forwarding is 1: want accept_ra=2"))
	node.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2")
	source.gives("2001:db8:1::/64")
}

func TestLinkIsNotThere(t *testing.T) {
	node, _ := newLink(t)
	set := link(0)
	set.Link.Interface = "eth7"
	source := start(t, node, set)
	NewWithT(t).Expect(source.now()).To(MatchRegexp("interface eth7: there is none: want one of lo, .*eth0"))
	node.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
	node.run("ip", "address", "add", "2001:db8:7::2/64", "dev", "eth7")
	node.run("ip", "link", "set", "eth8", "up")
	node.run("ip", "link", "set", "eth7", "up")
	NewWithT(t).Eventually(source.Changed()).WithTimeout(soon).Should(Receive())
	source.gives("2001:db8:7::/64")
}
