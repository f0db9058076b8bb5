// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
)

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func get(url string) (string, error) {
	resp, err := http.Get(url) //nolint:gosec // an address of this test
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestMetricsAndHealth(t *testing.T) {
	c := start(t)
	metrics, health := freeAddress(t), freeAddress(t)
	p := c.run(config(v6(66, 70)), "--metrics-bind-address", metrics, "--health-bind-address", health, "--leader-elect=false")
	for _, name := range []string{"node-a", "node-b", "node-c"} {
		c.Expect(c.create(name, "2001:db8:1:2::a")).To(Succeed())
		c.Eventually(c.podCIDRs(name)).Should(HaveLen(1))
	}
	c.remove("node-a")
	c.Expect(c.create("node-d", "2001:db8:1:2::d")).To(Succeed())
	c.Eventually(c.conditionOf("node-d")).Should(HavePrefix("False CIDRNotAvailable"))
	c.Eventually(func() (string, error) { return get("http://" + metrics + "/metrics") }).Should(SatisfyAll(
		ContainSubstring(`ipv6_ipam_node_prefixes{family="IPv6",state="used"} 2`),
		ContainSubstring(`ipv6_ipam_node_prefixes{family="IPv6",state="quarantined"} 1`),
		ContainSubstring(`ipv6_ipam_node_prefixes{family="IPv6",state="free"} 0`),
		ContainSubstring(`ipv6_ipam_nodes{reason="Assigned"} 2`),
		ContainSubstring(`ipv6_ipam_nodes{reason="CIDRNotAvailable"} 1`),
		ContainSubstring(`ipv6_ipam_problems_total{reason="CIDRNotAvailable"} 1`),
		ContainSubstring(`ipv6_ipam_assignment_seconds_count 3`),
	))
	for _, path := range []string{"/healthz", "/readyz"} {
		c.Expect(get("http://" + health + path)).To(Equal("ok"))
	}
	p.stop(c)
}
