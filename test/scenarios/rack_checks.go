// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/probe"
)

// soon is how long routes and sessions may take to settle, on a machine that has other things to do.
const soon = time.Minute

// rackChecks are what must hold in a cluster with a router that speaks BGP.
func rackChecks(router router) []driver.Check {
	check := func(title string, run func(*rack, context.Context) (string, error)) driver.Check {
		return driver.Check{Title: title, Run: bind(router, run)}
	}
	disturbing := func(title string, run func(*rack, context.Context) (string, error)) driver.Check {
		return driver.Check{Title: title, Disturbs: true, Run: bind(router, run)}
	}

	return []driver.Check{
		check("every node holds a session with the router", (*rack).checkSessions),
		check("the router has each node's prefix, and Services over all nodes", (*rack).checkRoutes),
		check("a cluster IP answers outside, through every node", (*rack).checkClusterIP),
		check("a load balancer's address keeps the client's address", (*rack).checkLoadBalancer),
		check("a cluster IP with internalTrafficPolicy Local takes no second hop", (*rack).checkNearClusterIP),
		check("the API server answers outside at the cluster IP of kubernetes", (*rack).checkAPIServer),
		check("an unallocated Service address does not loop", (*rack).checkUnallocated),
		check("no NAT and no encapsulation at the router", (*rack).checkNative),
		disturbing("agents are replaced and no packet is lost", (*rack).checkAgentsReplaced),
		disturbing("agents are killed and no packet is lost", (*rack).checkAgentsKilled),
		disturbing("a node is drained and no connection is lost", (*rack).checkDrain),
		disturbing("a node loses power: the others serve on", (*rack).checkPowerOff),
	}
}

// settle waits until the router has learnt what the checks rely on.
func (r *rack) settle(ctx context.Context) error {
	if err := driver.Await(ctx, "sessions and routes", soon, func(ctx context.Context) error {
		if _, err := r.checkSessions(ctx); err != nil {
			return err
		}

		_, err := r.checkRoutes(ctx)

		return err
	}); err != nil {
		return err
	}

	if err := r.waitForShop(ctx, r.Scenario.Nodes); err != nil {
		return err
	}

	address, err := r.shopAddress(ctx)
	if err != nil {
		return err
	}

	return r.waitForRoute(ctx, netip.PrefixFrom(address, address.BitLen()), r.Scenario.Nodes)
}

// waitForRoute waits until the router has a route over so many nodes.
func (r *rack) waitForRoute(ctx context.Context, prefix netip.Prefix, ways int) error {
	return driver.Await(ctx, fmt.Sprintf("%d ways to %s at the router", ways, prefix), soon, func(ctx context.Context) error {
		routes, err := kernelRoutes(ctx, r.host())
		if err == nil && len(routes[prefix]) != ways {
			err = fmt.Errorf("it has %d: %v", len(routes[prefix]), routes[prefix])
		}

		return err
	})
}

// holder names the node that an address, or an interface of the router, leads to.
func holder(nodes []node, address netip.Addr, device string) string {
	for _, n := range nodes {
		if n.address == address || device == bridgeOf(n.name) {
			return n.name
		}
	}

	return "somebody else: " + hop{address, device}.String()
}

func names(nodes []node) []string {
	found := make([]string, 0, len(nodes))
	for _, n := range nodes {
		found = append(found, n.name)
	}

	slices.Sort(found)

	return found
}

func (r *rack) checkSessions(ctx context.Context) (string, error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return "", err
	}

	sessions, err := r.router.sessions(ctx, r.host())
	if err != nil {
		return "", err
	}

	held := make([]string, 0, len(sessions))
	for _, s := range sessions {
		held = append(held, holder(nodes, s.Peer, s.Interface))
	}

	slices.Sort(held)

	if want := names(nodes); !slices.Equal(held, want) {
		return "", fmt.Errorf("sessions of %s are established with %q, want %q", r.router.name(), held, want)
	}

	return fmt.Sprintf("%d sessions of %s are established", len(held), r.router.name()), nil
}

func (r *rack) checkRoutes(ctx context.Context) (string, error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return "", err
	}

	routes, err := kernelRoutes(ctx, r.host())
	if err != nil {
		return "", err
	}

	for _, n := range nodes {
		if have := holders(nodes, routes[n.prefix()]); !slices.Equal(have, []string{n.name}) {
			return "", fmt.Errorf("the way to %s, the prefix of node %s, leads over %q", n.prefix(), n.name, have)
		}
	}

	if have, want := holders(nodes, routes[r.services]), names(nodes); !slices.Equal(have, want) {
		return "", fmt.Errorf("the ways to Services, %s, lead over %q, want %q", r.services, have, want)
	}

	return fmt.Sprintf("%d prefixes; %d ways to %s", len(nodes), len(nodes), r.services), nil
}

func holders(nodes []node, hops []hop) []string {
	found := make([]string, 0, len(hops))
	for _, h := range hops {
		found = append(found, holder(nodes, h.Gateway, h.Interface))
	}

	slices.Sort(found)

	return found
}

// manyCalls are enough for each of a few ways to be taken: the chance that one of three is not is 1 in 10^14.
const manyCalls = 80

// callMany opens connections from outside and gives what the page said how often.
func (r *rack) callMany(ctx context.Context, address, page string) (map[string]int, error) {
	client := probe.Client(r.outside())
	said := map[string]int{}

	for n := range manyCalls {
		text, err := probe.Get(ctx, client, "http://["+address+"]/"+page)
		if err != nil {
			return nil, fmt.Errorf("call %d of %d from outside to %s: %w", n+1, manyCalls, address, err)
		}

		if page == "clientip" {
			caller, err := netip.ParseAddrPort(text)
			if err != nil {
				return nil, fmt.Errorf("%s answers %q", address, text)
			}

			text = caller.Addr().String()
		}

		said[text]++
	}

	return said, nil
}

// checkClusterIP calls the web servers' cluster IP. Whichever node the router chose puts its own address into the packets, so that it can
// be told apart, and that answers come back through it.
func (r *rack) checkClusterIP(ctx context.Context) (string, error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return "", err
	}

	address, err := r.WorkloadService(ctx)
	if err != nil {
		return "", err
	}

	callers, err := r.callMany(ctx, address.String(), "clientip")
	if err != nil {
		return "", err
	}

	var want []string
	for _, n := range nodes {
		want = append(want, n.address.String())
	}

	if have := slices.Sorted(maps.Keys(callers)); !slices.Equal(have, slices.Sorted(slices.Values(want))) {
		return "", fmt.Errorf("calls to %s came through %q, want %q", address, have, want)
	}

	// The youngest server is known to one kube-proxy sooner than to another.
	var servers map[string]int
	for tries := 0; len(servers) != len(nodes); tries++ {
		if servers, err = r.callMany(ctx, address.String(), "hostname"); err != nil {
			return "", err
		}

		if len(servers) != len(nodes) && tries == 20 {
			return "", fmt.Errorf("%d calls to %s were answered by %v, want all %d web servers", manyCalls, address, servers, len(nodes))
		}
	}

	return fmt.Sprintf("%s: %d of %d calls answered; by node %s", address, manyCalls, manyCalls, spread(callers)), nil
}

// spread shows numbers side by side.
func spread(counts map[string]int) string {
	var text []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		text = append(text, fmt.Sprint(counts[key]))
	}

	return strings.Join(text, " + ")
}
