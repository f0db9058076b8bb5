// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

// talosNetworking lets each node bring a prefix of its own, at least a /96, wherever that is from. IPv4 pods get theirs from the pool.
const talosNetworking = `
type: ipv6
ipFamilies: [IPv6, IPv4]
nodes: custom+prefix/96
pods: v6fromNode/112,v4private
services: v6global/64,v4private
providerConfig:
  apiVersion: ipv6.networking.extensions.gardener.cloud/v1alpha1
  kind: NetworkConfig
  podSupernet: 2001:db8:a000::/36
  routing:
    mode: Routed
  nodePrefix:
    sources:
    - source: Metadata
      nodeSelector: {matchLabels: {landscape.example/provider: hetzner}}
      metadata: {provider: hetzner}
    - source: Metadata
      nodeSelector: {matchLabels: {landscape.example/provider: aws}}
      metadata: {provider: aws}
    - source: Metadata
      nodeSelector: {matchLabels: {landscape.example/provider: gcp}}
      metadata: {provider: gcp}
    - source: DHCPv6PD
      nodeSelector: {matchLabels: {landscape.example/provider: delegation}}
    - source: Interface
      nodeSelector: {matchLabels: {landscape.example/provider: advertised}}
`

// Links of the scenario, one a provider.
const (
	hetznerLink    machine.Link = "hetzner"
	awsLink        machine.Link = "aws"
	gcpLink        machine.Link = "gcp"
	delegationLink machine.Link = "delegation"
	advertisedLink machine.Link = "advertised"
)

// talosDelegation is what the DHCPv6 server of the fourth node's link delegates from.
var talosDelegation = machine.Delegation{
	Link: delegationLink, Subnet: netip.MustParsePrefix("2001:db8:a004:202::/64"), Pool: netip.MustParsePrefix("2001:db8:a004:8000::/49"), Bits: 64,
}

// place is where a node of the scenario stands.
type place struct {
	link machine.Link
	// provider is the value of the node's label.
	provider string
	// metadata is set if the provider's metadata server tells the node's prefix.
	metadata bool
	// address of the node; none if it makes its own from what is advertised.
	address netip.Prefix
	// prefix that the provider gives, none if it delegates one.
	prefix netip.Prefix
	// source as the node tells of it.
	source string
	// pods is the node's pod range, none if it is in what is delegated.
	pods netip.Prefix
	// ipv4 is the subnet of the node's IPv4 address, which is its tenth.
	ipv4 netip.Prefix
}

func talosPlaces() []place {
	p := netip.MustParsePrefix

	return []place{
		// A Hetzner server has a /64 and is the first address in it.
		{
			hetznerLink, "hetzner", true, p("2001:db8:a001:2875::1/64"), p("2001:db8:a001:2875::/64"), "hetzner metadata",
			p("2001:db8:a001:2875:ffff:ffff:ffff:0/112"), p("10.1.0.0/24"),
		},
		// An AWS instance has an address and a /80, both of its subnet.
		{
			awsLink, "aws", true, p("2001:db8:a002:1c4::64/128"), p("2001:db8:a002:1c4:5::/80"), "aws metadata",
			p("2001:db8:a002:1c4:5:ffff:ffff:0/112"), p("10.2.0.0/24"),
		},
		// A GCP instance has a /96 and is the first address in it.
		{
			gcpLink, "gcp", true, p("2001:db8:a003:42f6:0:1::/128"), p("2001:db8:a003:42f6:0:1::/96"), "gcp metadata",
			p("2001:db8:a003:42f6:0:1:ffff:0/112"), p("10.3.0.0/24"),
		},
		// A machine in a data centre whose router delegates a /64 to it.
		{
			delegationLink, "delegation", false, p("2001:db8:a004:202::100/64"), netip.Prefix{}, "DHCPv6 on eth0",
			netip.Prefix{}, p("10.4.0.0/24"),
		},
		// A machine that has a link to itself (RFC 8273), and makes its address from the /64 that the router advertises.
		{
			advertisedLink, "advertised", false, netip.Prefix{}, p("2001:db8:a005:201::/64"), "link of eth0",
			p("2001:db8:a005:201:ffff:ffff:ffff:0/112"), p("10.5.0.0/24"),
		},
	}
}

// Talos is a cluster of machines from everywhere, as in the article on Talos: each pod has a global address of its own node's prefix.
func Talos() driver.Scenario {
	return driver.Scenario{
		Name:        "talos",
		Title:       "five nodes in five prefixes: of three clouds, of a DHCPv6 server, of a router's advertisements",
		Networking:  talosNetworking,
		Nodes:       len(talosPlaces()),
		BeforeNodes: talosNetwork,
		Machine: func(c *driver.Cluster, number int) (driver.Machine, error) {
			return talosMachine(c, talosPlaces()[number-1], number), nil
		},
		Routes:        talosRoutes,
		AfterDeletion: talosAway,
		Report: func(ctx context.Context, c *driver.Cluster) ([]show.Table, error) {
			return talosOutput(ctx, c)
		},
		Journeys: talosJourneys,
		Checks: []driver.Check{
			{Title: "five nodes, five prefixes, three kinds of sources", Run: checkTalosPrefixes},
			{Title: "pods get a part of their own node's prefix, IPv4 from the pool", Run: checkTalosPods},
			{Title: "pods reach pods and the world, and the world them: no NAT, no encapsulation", Run: checkWorld},
			{Title: "what is for no pod is refused at its node, and does not go round", Run: checkTalosRefused},
			{Title: "IPv4: pods reach pods with their own address, the world with the node's", Run: checkTalosIPv4},
		},
	}
}

func talosNetwork(ctx context.Context, c *driver.Cluster) error {
	m := c.Machines()

	for _, p := range talosPlaces() {
		if err := m.StartLink(ctx, p.link); err != nil {
			return err
		}

		gateways := []netip.Prefix{gateway, inSubnet(p.ipv4, 1)}
		if p.link == delegationLink {
			// servers choose by the subnet of the link
			gateways = append(gateways, part(talosDelegation.Subnet, 64, 15, 1))
		}

		if err := m.SetGateway(ctx, p.link, gateways...); err != nil {
			return err
		}

		if p.link == advertisedLink {
			if err := m.StartRadvd(ctx, p.link, p.prefix); err != nil {
				return err
			}
		}
	}

	return m.StartKea(ctx, talosDelegation)
}

func talosMachine(c *driver.Cluster, p place, number int) driver.Machine {
	ipv4 := inSubnet(p.ipv4, 10)
	i := instance{prefix: p.prefix, HostConfig: machine.HostConfig{
		Link: p.link, Addresses: []netip.Prefix{p.address, ipv4}, Gateways: []netip.Addr{gateway.Addr(), inSubnet(p.ipv4, 1).Addr()},
	}}

	switch {
	case p.link == advertisedLink:
		i.FromRA = true
		i.Addresses[0] = c.Machines().Autoconfigured(p.prefix, driver.NodeName(number))
		i.Gateways = i.Gateways[1:]
	case p.address.IsSingleIP():
		i.routed = []netip.Prefix{p.address}
	}

	if p.metadata {
		i.provider = p.provider
	}

	m := i.machine(c, number)
	m.Labels = map[string]string{providerLabel: p.provider}

	return m
}

// talosRoutes plays the router that delegates, which sends what is for a delegated prefix to whom it was delegated, and for IPv4, of which
// providers know nothing, the one who made the clusters' private network.
func talosRoutes(ctx context.Context, c *driver.Cluster) error {
	nodes, err := nodesOf(ctx, c)
	if err != nil {
		return err
	}

	delegated, err := c.Machines().Delegated(talosDelegation)
	if err != nil {
		return err
	}

	for i := range nodes {
		name := nodes[i].Name

		pods, err := podRange(&nodes[i], false)
		if err != nil {
			return err
		}

		if err := c.Machines().RouteTo(ctx, pods, name); err != nil {
			return err
		}

		for prefix, mac := range delegated {
			if mac != c.Machines().Host(name).MAC().String() {
				continue
			}

			if err := c.Machines().RouteTo(ctx, prefix, name); err != nil {
				return err
			}
		}
	}

	return nil
}

func talosAway(ctx context.Context, c *driver.Cluster) error {
	var errs []error

	for _, p := range talosPlaces() {
		errs = append(errs, c.Machines().ClearLink(ctx, p.link))
	}

	return errors.Join(append(errs, c.Machines().StopRadvd(ctx, advertisedLink), c.Machines().StopKea(ctx, talosDelegation))...)
}

// The commands of the article, and what they print.
var talosCommands = []string{
	`{range .items[*].status.addresses[?(@.type=="InternalIP")]}{.address}{"\n"}{end}`,
	`{range .items[*].spec}{.podCIDRs}{"\n"}{end}`,
}

func talosOutput(ctx context.Context, c *driver.Cluster) ([]show.Table, error) {
	var tables []show.Table

	for _, path := range talosCommands {
		out, err := kubectl(ctx, c, "get", "nodes", "-o", "jsonpath="+path)
		if err != nil {
			return nil, err
		}

		table := show.Table{Head: []string{"kubectl get nodes -o jsonpath='" + path + "'"}}
		if strings.Contains(path, "addresses") {
			table.Head[0] += " | grep ':'"
		}

		for line := range strings.Lines(out) {
			if line = strings.TrimSpace(line); strings.Contains(line, ":") {
				table.Rows = append(table.Rows, []string{line})
			}
		}

		tables = append(tables, table)
	}

	return tables, nil
}

// talosJourneys are some of all ways, for the report.
func talosJourneys(ctx context.Context, c *driver.Cluster) ([]show.Journey, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return nil, err
	}

	all, err := between(c, pods, true)
	if err != nil {
		return nil, err
	}

	calls, err := world(c, pods)
	if err != nil {
		return nil, err
	}

	// of each node's pod to another node's
	for i := range pods {
		calls = append(calls, all[i*(len(pods)-1)])
	}

	journeys := make([]show.Journey, 0, len(calls))
	for _, made := range calls {
		journeys = append(journeys, made.journey(ctx))
	}

	return journeys, nil
}
