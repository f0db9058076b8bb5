// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/metadata"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/sourcetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/nodesource/metadatafake"
)

// listen at an address in the namespace, and serve the imitation there.
func listen(t *testing.T, s *space, address string, fake *metadatafake.Server) {
	t.Helper()
	var l net.Listener
	if err := s.within(func() (err error) { l, err = net.Listen("tcp", address); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = fake.Serve(l) }()
}

// cloud is a node and an imitated metadata server on its link, at the real addresses.
func cloud(t *testing.T, fake *metadatafake.Server, addresses ...string) *space {
	t.Helper()
	node, _ := cloudLink(t, fake, addresses...)
	return node
}

func cloudLink(t *testing.T, fake *metadatafake.Server, addresses ...string) (node, server *space) {
	t.Helper()
	node, server = newLink(t)
	node.run("ip", "address", "add", "10.0.0.2/24", "dev", "eth0")
	server.run("ip", "address", "add", "10.0.0.1/24", "dev", "eth0")
	node.run("ip", "address", "add", "2001:db8:ffff::2/64", "dev", "eth0")
	server.run("ip", "address", "add", "2001:db8:ffff::1/64", "dev", "eth0")
	for _, a := range addresses {
		ip, zone, _ := strings.Cut(a, "%")
		if strings.Contains(ip, ":") {
			server.run("ip", "address", "add", ip, "dev", "eth0", "nodad") // to be listened at now
		} else {
			server.run("ip", "address", "add", ip, "dev", "eth0")
		}
		if zone == "" {
			node.run("ip", "route", "add", ip, "dev", "eth0")
		}
		listen(t, server, net.JoinHostPort(a, "80"), fake)
	}
	return node, server
}

func ask(provider metadata.Provider) setup {
	return setup{Metadata: &metadata.Options{Provider: provider, Interface: "eth0", Interval: 200 * time.Millisecond, Timeout: 500 * time.Millisecond}}
}

func TestMetadataServers(t *testing.T) {
	for _, tc := range []struct {
		provider metadata.Provider
		at       string
		prefix   string
	}{
		{metadata.AWS, "169.254.169.254", "2600:1f18:1:2:3::/80"},
		{metadata.AWS, "fd00:ec2::254", "2600:1f18:1:2:3::/80"},
		{metadata.GCP, "169.254.169.254", "2600:1900:4000:1:0:1::/96"},
		{metadata.GCP, "fd20:ce::254", "2600:1900:4000:1:0:1::/96"},
		{metadata.OpenStack, "169.254.169.254", "2001:db8:1::/64"},
		{metadata.OpenStack, "fe80::a9fe:a9fe%eth0", "2001:db8:1::/64"},
		{metadata.Hetzner, "169.254.169.254", "2a01:4f8:c17:1234::/64"},
		{metadata.Azure, "169.254.169.254", "fd00:1:0:0:1::/80"},
	} {
		t.Run(fmt.Sprintf("%s at %s", tc.provider, tc.at), func(t *testing.T) {
			node := cloud(t, metadatafake.New(string(tc.provider), nodeMAC, tc.prefix), tc.at)
			source := start(t, node, ask(tc.provider))
			g := NewWithT(t)
			ps, err := source.Prefixes(context.Background())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(ps).To(HaveLen(1))
			g.Expect(ps[0].Prefix.String()).To(Equal(tc.prefix))
			g.Expect(ps[0].Origin).To(Equal(fmt.Sprintf("%s metadata at %s", tc.provider, tc.at)))
		})
	}
}

func TestMetadataConformance(t *testing.T) {
	fake := metadatafake.New("aws", nodeMAC, "2600:1f18:1:2:3::/80")
	sourcetest.Run(t, start(t, cloud(t, fake, "169.254.169.254"), ask(metadata.AWS)), func() { fake.Set("2600:1f18:1:2:4::/80") })
}

// What a server does wrong, and what becomes of it: an error that says so, in time, and no news about the prefix.
func TestMetadataMisbehaviour(t *testing.T) {
	fake := metadatafake.New("aws", nodeMAC, "2600:1f18:1:2:3::/80")
	source := start(t, cloud(t, fake, "169.254.169.254"), ask(metadata.AWS))
	g := NewWithT(t)
	g.Expect(source.now()).To(Equal("2600:1f18:1:2:3::/80"))
	for manner, want := range map[metadatafake.Manner]string{
		metadatafake.Failing:          "/latest/api/token answered 500 Internal Server Error",
		metadatafake.Slow:             "Client.Timeout exceeded",
		metadatafake.Huge:             "the answer has more than 262144 bytes",
		metadatafake.Garbled:          "is no hardware address",
		metadatafake.NeverGivesTokens: "answered 403 Forbidden: want a token",
	} {
		fake.Behave(manner)
		begun := time.Now()
		g.Expect(source.now()).To(ContainSubstring(want))
		g.Expect(time.Since(begun)).To(BeNumerically("<", 15*time.Second))
		fake.Behave(metadatafake.Well)
		g.Expect(source.now()).To(Equal("2600:1f18:1:2:3::/80"))
	}
}

// Everything is asked with a token, and one that the server has forgotten is replaced.
func TestMetadataTokens(t *testing.T) {
	fake := metadatafake.New("aws", nodeMAC, "2600:1f18:1:2:3::/80")
	source := start(t, cloud(t, fake, "169.254.169.254"), ask(metadata.AWS))
	g := NewWithT(t)
	g.Expect(source.now()).To(Equal("2600:1f18:1:2:3::/80"))
	fake.Forget()
	g.Expect(source.now()).To(Equal("2600:1f18:1:2:3::/80"))
	g.Expect(fake.Requests()[:3]).To(Equal([]string{
		"PUT /latest/api/token 200", "GET /latest/meta-data/network/interfaces/macs/ 200",
		"GET /latest/meta-data/network/interfaces/macs/02:00:5e:10:00:01/ipv6-prefix 200",
	}))
	fake.Set()
	source.gives(ContainSubstring("the node has no prefix there: want a prefix (/80) assigned to the network interface"))
	g.Eventually(fake.Requests).WithTimeout(soon).Should(ContainElement("GET /latest/meta-data/network/interfaces/macs/02:00:5e:10:00:01/ipv6-prefix 404"))
}

// Over a hop, as from a pod's own network, AWS's token never arrives: its packets have a hop limit of 1.
func TestMetadataHopLimit(t *testing.T) {
	fake := metadatafake.New("aws", nodeMAC, "2600:1f18:1:2:3::/80")
	fake.OnToken = func(c net.Conn) {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, 1) })
		}
	}
	node, server := cloudLink(t, fake, "169.254.169.254")
	pod := newSpace(t, "pod")
	run(t, "ip", "link", "add", "eth0", "netns", pod.name, "type", "veth", "peer", "name", "pod0", "netns", node.name)
	node.run("ip", "address", "add", "10.1.0.1/24", "dev", "pod0")
	node.run("ip", "link", "set", "pod0", "up")
	node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
	pod.run("ip", "address", "add", "10.1.0.2/24", "dev", "eth0")
	pod.run("ip", "link", "set", "eth0", "up")
	pod.run("ip", "route", "add", "default", "via", "10.1.0.1")
	server.run("ip", "route", "add", "10.1.0.0/24", "via", "10.0.0.2")

	options := ask(metadata.AWS)
	options.Metadata.Endpoints = []string{"http://169.254.169.254"}
	g := NewWithT(t)
	g.Expect(start(t, node, options).now()).To(Equal("2600:1f18:1:2:3::/80"), "from the host's network it does")
	g.Expect(start(t, pod, options).now()).To(ContainSubstring("HttpPutResponseHopLimit of the instance's metadata options must be greater than 1"))
}

// On a node without IPv4 the other endpoint is found, and stays the first that is asked.
func TestMetadataWithoutIPv4(t *testing.T) {
	fake := metadatafake.New("aws", nodeMAC, "2600:1f18:1:2:3::/80")
	node := cloud(t, fake, "fd00:ec2::254")
	node.run("ip", "-4", "address", "flush", "dev", "eth0")
	source := start(t, node, ask(metadata.AWS))
	NewWithT(t).Expect(source.now()).To(Equal("2600:1f18:1:2:3::/80"))
	NewWithT(t).Expect(slices.Contains(fake.Requests(), "PUT /latest/api/token 200")).To(BeTrue())
}
