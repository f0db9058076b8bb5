// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// documented configuration of a router, from the page for people.
func documented(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/bgp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n```"+language+"\n")
	text, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("docs/bgp.md has no block of %s", language)
	}
	return text + "\n"
}

// Whoever copies the page gets a router that learns from two nodes, shares a range between them, and refuses what is not theirs.
func TestDocumentedRouters(t *testing.T) {
	for _, language := range []string{"bird", "frr"} {
		t.Run(language, func(t *testing.T) {
			needsRoot(t)
			t.Parallel()
			g := NewWithT(t)
			torSpace := newSpace(t, "tor")
			torSpace.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
			torSpace.run("ip", "address", "add", "2001:db8:1::1/64", "dev", "br0")
			torSpace.run("ip", "link", "set", "br0", "up")
			speakers, wants := []*process{}, []bgp.Desired{}
			for i, address := range []string{"2001:db8:1::a", "2001:db8:1::b"} {
				node := newSpace(t, "node")
				port := "port" + address[len(address)-1:]
				linkNamed(node, torSpace, "eth0", port, []string{address + "/64"}, nil)
				torSpace.run("ip", "link", "set", port, "master", "br0")
				d := restarting("2001:db8:100::/112", "2001:db8:bad::/48", []string{"2001:db8:2:a::/80", "2001:db8:2:b::/80"}[i])
				d.RouterID = netip.MustParseAddr([]string{"192.0.2.10", "192.0.2.11"}[i])
				speakers, wants = append(speakers, start(t, node, "first")), append(wants, d)
			}
			if language == "bird" {
				birdWith(t, torSpace, documented(t, language))
			} else {
				frr(t, torSpace, documented(t, language))
			}
			for i, speaker := range speakers {
				speaker.apply(wants[i])
				g.Eventually(func() bgp.SessionState { return speaker.status().Sessions[0].State }).WithTimeout(soon).Should(Equal(bgp.Established))
			}
			g.Eventually(func() string { return torSpace.routes("2001:db8:100::/112") }).WithTimeout(soon).Should(And(
				ContainSubstring("nexthop via 2001:db8:1::a"), ContainSubstring("nexthop via 2001:db8:1::b")))
			g.Eventually(func() string { return torSpace.routes("2001:db8:2:a::/80") }).WithTimeout(soon).Should(ContainSubstring("via 2001:db8:1::a"))
			g.Eventually(func() string { return torSpace.routes("2001:db8:2:b::/80") }).WithTimeout(soon).Should(ContainSubstring("via 2001:db8:1::b"))
			g.Expect(torSpace.routes("2001:db8:bad::/48")).To(BeEmpty())
		})
	}
}
