// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/capture"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// providerLabel tells of a node which provider it is from.
const providerLabel = "landscape.example/provider"

// gateway is every cloud's router, on each of its links.
var gateway = netip.MustParsePrefix("fe80::1/64")

// instance is a machine of a cloud, with a prefix of its own.
type instance struct {
	// provider whose metadata server the machine has; empty: none.
	provider string
	// prefix that the cloud gave it. The cloud routes it to the machine.
	prefix netip.Prefix
	// routed are further prefixes that the cloud routes to the machine: its own addresses, where they are in none of the others.
	routed []netip.Prefix
	machine.HostConfig
}

// machine is the instance as the driver wants it.
func (i instance) machine(c *driver.Cluster, number int) driver.Machine {
	m := driver.Machine{HostConfig: i.HostConfig}

	if i.provider != "" {
		m.Labels = map[string]string{providerLabel: i.provider}
	}

	m.Prepare = func(ctx context.Context, node *machine.Node) error {
		routes := i.routed
		if i.prefix.IsValid() {
			routes = append(slices.Clone(routes), i.prefix)
		}

		for _, prefix := range routes {
			if err := c.Machines().RouteTo(ctx, prefix, driver.NodeName(number)); err != nil {
				return err
			}
		}

		if i.provider == "" {
			return nil
		}

		return node.StartMetadata(ctx, i.provider, i.prefix)
	}

	return m
}

// single is a prefix of one address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// part is a prefix with octets replaced from an offset on, and a length: literal sums of addresses.
func part(p netip.Prefix, bits, offset int, octets ...byte) netip.Prefix {
	bytes := p.Addr().As16()
	copy(bytes[offset:], octets)

	return netip.PrefixFrom(netip.AddrFrom16(bytes), bits)
}

// checkReported compares what the nodes report with what the providers gave: its own prefix each, from the expected source.
func checkReported(ctx context.Context, c *driver.Cluster, want map[string]struct{ prefix, source string }) (string, error) {
	nodes, err := nodesOf(ctx, c)
	if err != nil {
		return "", err
	}

	if len(nodes) != len(want) {
		return "", fmt.Errorf("there are %d nodes instead of %d", len(nodes), len(want))
	}

	var sources []string

	for i := range nodes {
		node := &nodes[i]
		prefix, source := node.Annotations[nodeprefix.AnnotationReportedPrefix], node.Annotations[nodeprefix.AnnotationPrefixSource]

		if is := want[node.Name]; prefix != is.prefix || !strings.Contains(source, is.source) {
			return "", fmt.Errorf("node %s reports %q from %q instead of %q from %q", node.Name, prefix, source, is.prefix, is.source)
		}

		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}

	return fmt.Sprintf("%d prefixes, from %s", len(nodes), strings.Join(sources, ", ")), nil
}

// checkAddressesApart makes sure that no node has an address in any node's pod range, and that the ranges are apart.
func checkAddressesApart(nodes []corev1.Node) error {
	for i := range nodes {
		own, err := podRange(&nodes[i], true)
		if err != nil {
			return err
		}

		for j := range nodes {
			for _, address := range internalIPs(&nodes[j], true) {
				if own.Contains(address) {
					return fmt.Errorf("the pod range %s of node %s holds the address %s of node %s", own, nodes[i].Name, address, nodes[j].Name)
				}
			}

			if other, err := podRange(&nodes[j], true); i != j && (err != nil || own.Overlaps(other)) {
				return fmt.Errorf("nodes %s and %s: their pod ranges %s and %s overlap: %w", nodes[i].Name, nodes[j].Name, own, other, err)
			}
		}
	}

	return nil
}

// checkNative makes the calls and looks at every packet that passes the router meanwhile: IPv6 of the pods, not wrapped, and TCP of port
// webPort with the callers' and the servers' own addresses only.
func checkNative(ctx context.Context, c *driver.Cluster, calls []call) (string, error) {
	recording, err := capture.Start(c.Machines().Router())
	if err != nil {
		return "", err
	}

	count, err := checkAll(ctx, calls)

	packets, stopErr := recording.Stop()
	if err != nil {
		return "", err
	}

	if stopErr != nil {
		return "", stopErr
	}

	// callers and servers, as the calls know them
	known := map[netip.Addr]bool{c.OutsideAddress(): true}

	for _, made := range calls {
		known[made.want] = true

		if address, err := netip.ParseAddr(made.host); err == nil {
			known[address] = true
		}
	}

	openings, err := untouched(packets, known)

	return fmt.Sprintf("%d calls; none of %d packets at the router wrapped, none of %d openings translated", count, len(packets), openings), err
}

// untouched counts the IPv6 packets that open a connection to port webPort. It fails if there is none, if one has an address that is
// neither a caller's nor a server's, or if any packet is wrapped.
func untouched(packets []capture.Packet, known map[netip.Addr]bool) (int, error) {
	openings := 0

	for _, p := range packets {
		if p.Encapsulated() {
			return 0, fmt.Errorf("an encapsulated packet passed the router: %s", p)
		}

		if !p.SYN || p.DestinationPort != webPort || !p.Source.Is6() {
			continue
		}

		if openings++; !known[p.Source] || !known[p.Destination] {
			return 0, fmt.Errorf("a packet passed the router with an address that is neither caller's nor server's: %s", p)
		}
	}

	if openings == 0 {
		return 0, fmt.Errorf("none of %d packets at the router opens a connection", len(packets))
	}

	return openings, nil
}

// checkWorld has all web servers call one another and the world, and the world them.
func checkWorld(ctx context.Context, c *driver.Cluster) (string, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return "", err
	}

	calls, err := between(c, pods, true)
	if err != nil {
		return "", err
	}

	more, err := world(c, pods)
	if err != nil {
		return "", err
	}

	return checkNative(ctx, c, append(calls, more...))
}
