// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// gardenerNetworking is the proposal's own example. The cloud gives each machine a prefix, and its metadata server tells it.
const gardenerNetworking = `
type: ipv6
ipFamilies: [IPv6]
nodes: v6global/64+prefix/%d
pods: v6fromNode
services: globalIPv6/64
providerConfig:
  apiVersion: ipv6.networking.extensions.gardener.cloud/v1alpha1
  kind: NetworkConfig
  routing:
    mode: Routed
  nodePrefix:
    sources:
    - source: Metadata
      metadata:
        provider: %s
`

// Gardener is the proposal's example on a cloud that gives each machine a /96.
func Gardener() driver.Scenario {
	return onCloud(driver.Scenario{
		Name:       "gardener",
		Title:      "the proposal's example on a cloud that gives each node a /96, as GCP does",
		Networking: fmt.Sprintf(gardenerNetworking, 96, "gcp"),
	}, "gcp", func(subnet netip.Prefix, number byte) (netip.Addr, netip.Prefix) {
		// the first address of the machine's prefix is its own
		prefix := part(subnet, 96, 10, 0, number)

		return prefix.Addr(), prefix
	}, func(prefix netip.Prefix) netip.Prefix { return part(prefix, 100, 12, 0xd0) })
}

// GardenerAWS is the proposal's example on a cloud that gives each machine a /80.
func GardenerAWS() driver.Scenario {
	return onCloud(driver.Scenario{
		Name:       "gardener-aws",
		Title:      "the proposal's example on a cloud that gives each node a /80, as AWS does",
		Networking: fmt.Sprintf(gardenerNetworking, 80, "aws"),
	}, "aws", func(subnet netip.Prefix, number byte) (netip.Addr, netip.Prefix) {
		// the machine's own address is elsewhere in the subnet
		return part(subnet, 128, 15, 0x10+number).Addr(), part(subnet, 80, 8, 0, number)
	}, func(prefix netip.Prefix) netip.Prefix { return part(prefix, 84, 10, 0xd0) })
}

// onCloud puts a scenario on a cloud. give tells the address and the prefix of a machine in the subnet that was reserved for the nodes, and
// pods the part of it that pods are to get.
func onCloud(
	s driver.Scenario, provider string,
	give func(subnet netip.Prefix, number byte) (netip.Addr, netip.Prefix), pods func(prefix netip.Prefix) netip.Prefix,
) driver.Scenario {
	given := func(c *driver.Cluster, number int) (netip.Addr, netip.Prefix, error) {
		subnet, err := c.NodesRange()
		if err != nil {
			return netip.Addr{}, netip.Prefix{}, err
		}

		address, prefix := give(subnet, byte(number)) // #nosec G115 -- a handful of nodes

		return address, prefix, nil
	}

	s.BeforeNodes = func(ctx context.Context, c *driver.Cluster) error {
		return c.Machines().SetGateway(ctx, machine.ShootLink, gateway)
	}
	s.Routes = driver.NoRoutes
	s.AfterDeletion = func(ctx context.Context, c *driver.Cluster) error {
		return c.Machines().ClearLink(ctx, machine.ShootLink)
	}
	s.Machine = func(c *driver.Cluster, number int) (driver.Machine, error) {
		address, prefix, err := given(c, number)

		return instance{
			provider: provider, prefix: prefix, routed: []netip.Prefix{single(address)},
			HostConfig: machine.HostConfig{
				Link: machine.ShootLink, Addresses: []netip.Prefix{single(address)}, Gateways: []netip.Addr{gateway.Addr()},
			},
		}.machine(c, number), err
	}

	s.Checks = []driver.Check{
		{Title: "each node's prefix is the one that the metadata server gave", Run: func(ctx context.Context, c *driver.Cluster) (string, error) {
			want := map[string]struct{ prefix, source string }{}

			for number := 1; number <= driver.DefaultNodes; number++ {
				_, prefix, err := given(c, number)
				if err != nil {
					return "", err
				}

				want[driver.NodeName(number)] = struct{ prefix, source string }{prefix.String(), provider + " metadata"}
			}

			return checkReported(ctx, c, want)
		}},
		{Title: "pods get child d of it, where the node has no address", Run: func(ctx context.Context, c *driver.Cluster) (string, error) {
			return checkChildren(ctx, c, func(number int) (netip.Prefix, error) {
				_, prefix, err := given(c, number)

				return pods(prefix), err
			})
		}},
		{Title: "pods reach pods and the world, and the world them: no NAT, no encapsulation", Run: checkWorld},
	}

	return s
}

// checkChildren compares the nodes' pod ranges with those that they are to have.
func checkChildren(ctx context.Context, c *driver.Cluster, want func(number int) (netip.Prefix, error)) (string, error) {
	nodes, err := nodesOf(ctx, c)
	if err != nil {
		return "", err
	}

	found := make([]string, 0, len(nodes))

	for i := range nodes {
		own, err := podRange(&nodes[i], true)
		if err != nil {
			return "", err
		}

		// nodes are n1, n2, ... and sorted
		expected, err := want(i + 1)
		if err != nil {
			return "", err
		}

		if own != expected {
			return "", fmt.Errorf("the pods of node %s have %s instead of %s", nodes[i].Name, own, expected)
		}

		found = append(found, own.String())
	}

	return strings.Join(found, ", "), checkAddressesApart(nodes)
}
