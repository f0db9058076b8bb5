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
)

// delegatedTo is the prefix that the fourth node was delegated, and its highest part of a pod range's length.
func delegatedTo(c *driver.Cluster, node string) (prefix, pods netip.Prefix, err error) {
	delegated, err := c.Machines().Delegated(talosDelegation)
	if err != nil {
		return prefix, pods, err
	}

	for prefix, mac := range delegated {
		if mac == c.Machines().Host(node).MAC().String() {
			return prefix, part(prefix, 112, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), nil
		}
	}

	return prefix, pods, fmt.Errorf("the DHCPv6 server delegated nothing to %s, but %v", node, delegated)
}

func checkTalosPrefixes(ctx context.Context, c *driver.Cluster) (string, error) {
	want := map[string]struct{ prefix, source string }{}

	for i, p := range talosPlaces() {
		name := driver.NodeName(i + 1)
		if p.link == delegationLink {
			var err error
			if p.prefix, _, err = delegatedTo(c, name); err != nil {
				return "", err
			}
		}

		want[name] = struct{ prefix, source string }{p.prefix.String(), p.source}
	}

	return checkReported(ctx, c, want)
}

// checkTalosRefused sends to addresses in prefixes that providers route to nodes, and that no link of theirs has. They are far from the
// pods' parts.
func checkTalosRefused(ctx context.Context, c *driver.Cluster) (string, error) {
	delegated, _, err := delegatedTo(c, "n4")
	if err != nil {
		return "", err
	}

	nobodys := []netip.Addr{netip.MustParseAddr("2001:db8:a002:1c4:5:7::1"), part(delegated, 128, 15, 1).Addr()}

	for _, address := range nobodys {
		// ping fails, as it shall
		out, _ := c.ExecOutside(ctx, "ping", "-6", "-n", "-c", "1", "-W", "2", address.String())
		if !strings.Contains(out, "Destination unreachable: No route") {
			return "", fmt.Errorf("an echo request to %s is not refused: %s", address, out)
		}
	}

	return fmt.Sprintf("%s, %s: no route", nobodys[0], nobodys[1]), nil
}

// talosPools are where IPv4 pods are from: the keyword v4private.
var talosPools = netip.MustParsePrefix("100.96.0.0/11")

func checkTalosPods(ctx context.Context, c *driver.Cluster) (string, error) {
	nodes, err := nodesOf(ctx, c)
	if err != nil {
		return "", err
	}

	for i := range nodes {
		own, err := podRange(&nodes[i], false)
		if err != nil {
			return "", err
		}

		if !talosPools.Contains(own.Addr()) || own.Bits() != 24 {
			return "", fmt.Errorf("the IPv4 pods of node %s have %s instead of a /24 of %s", nodes[i].Name, own, talosPools)
		}
	}

	return checkChildren(ctx, c, func(number int) (netip.Prefix, error) {
		p := talosPlaces()[number-1]
		if p.link != delegationLink {
			return p.pods, nil
		}

		_, pods, err := delegatedTo(c, driver.NodeName(number))

		return pods, err
	})
}

func checkTalosIPv4(ctx context.Context, c *driver.Cluster) (string, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return "", err
	}

	calls, err := between(c, pods, false)
	if err != nil {
		return "", err
	}

	for i := range pods {
		number := strings.TrimPrefix(pods[i].Spec.NodeName, "n")

		for j, p := range talosPlaces() {
			if number != fmt.Sprint(j+1) {
				continue
			}

			calls = append(calls, call{
				from: "pod on " + pods[i].Spec.NodeName, to: "host outside", run: inPod(c, &pods[i]),
				host: c.Machines().OutsideAddressIPv4().String(), port: driver.OutsidePort,
				want: inSubnet(p.ipv4, 10).Addr(), why: "its node's: masqueraded",
			})
		}
	}

	count, err := checkAll(ctx, calls)

	return fmt.Sprintf("%d calls", count), err
}
