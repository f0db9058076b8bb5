// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

const (
	// nodesASN and torASN are the autonomous systems of the nodes and of the top-of-rack router, both private (RFC 6996).
	nodesASN, torASN = 64512, 65000
	// nodePrefixBits is the length of each node's own prefix.
	nodePrefixBits = 64
	// holdTime, in seconds, after which the router takes a silent node for dead; it proposes it, and the lower of both sides' counts.
	holdTime = 9
)

// loadBalancerPool holds the addresses of Services of type LoadBalancer.
var loadBalancerPool = netip.MustParsePrefix("2001:db8:5::/112")

// rackWorkload is what is called from outside, beside the demo's web servers.
//
//go:embed rack.yaml
var rackWorkload string

// router is a routing daemon on the landscape's router, which is the rack's top-of-rack router.
type router interface {
	// start it, with its addresses on the nodes' links and sessions to them.
	start(ctx context.Context, r *rack) error
	stop(ctx context.Context, host *machine.Host) error
	// sessions that are established.
	sessions(ctx context.Context, host *machine.Host) ([]session, error)
	// name of the program.
	name() string
	// detects is how long it takes to find that a node has lost its power.
	detects() time.Duration
}

// session of the router with a node.
type session struct {
	// Peer is the node's address on the link.
	Peer netip.Addr
	// Interface of the router, if the peer is known by that alone.
	Interface string
	// Prefixes that the node told.
	Prefixes int
}

// rack is the cluster of a scenario with BGP.
type rack struct {
	*driver.Cluster

	router router
	// nodesRange and services as they were reserved.
	nodesRange, services netip.Prefix
}

func newRack(c *driver.Cluster, router router) (*rack, error) {
	nodes, err := c.NodesRange()
	if err != nil {
		return nil, err
	}

	services, err := c.ServicesRange()

	return &rack{Cluster: c, router: router, nodesRange: nodes, services: services}, err
}

// link is the part of the nodes range that the nodes' own addresses are in: the first prefix of a node's length.
func (r *rack) link() netip.Prefix { return netip.PrefixFrom(r.nodesRange.Addr(), nodePrefixBits) }

func (r *rack) host() *machine.Host { return r.Machines().Router() }

func (r *rack) outside() *machine.Host { return r.Machines().Host(driver.OutsideName) }

// bridgePrefix begins the names of the router's interfaces on links.
const bridgePrefix = "br-"

// linkOf is the link of a node that shares it with the router alone, and bridgeOf the router's interface there.
func linkOf(node string) machine.Link { return machine.Link("rack-" + node) }

func bridgeOf(node string) string { return bridgePrefix + string(linkOf(node)) }

// node as the API server knows it.
type node struct {
	name    string
	address netip.Addr
	pods    netip.Prefix
}

// prefix is the node's own, which its pods' range is a part of.
func (n node) prefix() netip.Prefix { return netip.PrefixFrom(n.pods.Addr(), nodePrefixBits).Masked() }

func (r *rack) nodes(ctx context.Context) ([]node, error) {
	api, err := r.API(ctx)
	if err != nil {
		return nil, err
	}

	list := &corev1.NodeList{}
	if err := api.List(ctx, list); err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}

	nodes := make([]node, 0, len(list.Items))

	for _, item := range list.Items {
		n := node{name: item.Name}

		for _, address := range item.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				n.address, err = netip.ParseAddr(address.Address)
			}
		}

		if err != nil || !n.address.IsValid() {
			return nil, fmt.Errorf("node %s has no address: %v, %w", n.name, item.Status.Addresses, err)
		}

		if n.pods, err = netip.ParsePrefix(item.Spec.PodCIDR); err != nil {
			return nil, fmt.Errorf("pod range of node %s: %w", n.name, err)
		}

		nodes = append(nodes, n)
	}

	return nodes, nil
}

// service of the workload.
func (r *rack) service(ctx context.Context, namespace, name string) (*corev1.Service, error) {
	api, err := r.API(ctx)
	if err != nil {
		return nil, err
	}

	service := &corev1.Service{}
	if err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, service); err != nil {
		return nil, fmt.Errorf("reading Service %s/%s: %w", namespace, name, err)
	}

	return service, nil
}

// rackMachine is a node of the rack: its address is in the link's prefix, and its own prefix is not on the link, so that there is no way to
// its pods but by what it announces.
func rackMachine(c *driver.Cluster, number int) (driver.Machine, error) {
	m, err := driver.PoolMachine(c, number)
	for i, address := range m.Addresses {
		m.Addresses[i] = netip.PrefixFrom(address.Addr(), nodePrefixBits)
	}

	return m, err
}

// hooks of a scenario with a router that speaks BGP.
func withRouter(s driver.Scenario, router router) driver.Scenario {
	s.Workload = rackWorkload
	s.Routes = driver.NoRoutes
	s.Machine = rackMachine
	s.BeforeNodes = func(ctx context.Context, c *driver.Cluster) error {
		r, err := newRack(c, router)
		if err != nil {
			return err
		}

		if err := r.host().Inside(hashByPorts); err != nil {
			return fmt.Errorf("the router's choice among several ways: %w", err)
		}

		return router.start(ctx, r)
	}
	s.AfterNodes = func(ctx context.Context, c *driver.Cluster) error {
		r, err := newRack(c, router)
		if err != nil {
			return err
		}

		return r.settle(ctx)
	}
	s.AfterDeletion = func(ctx context.Context, c *driver.Cluster) error { return router.stop(ctx, c.Machines().Router()) }
	s.Report = bind(router, (*rack).report)
	s.Journeys = bind(router, (*rack).journeys)
	s.Checks = rackChecks(router)

	return s
}

// hashByPorts makes a router choose among several ways by addresses, protocol and ports, as those of data centres do. Policy 3 is told to
// do what policy 1 does, which looks at a hash that the sender's socket on this same machine has left on the packet.
func hashByPorts() error {
	return errors.Join(
		os.WriteFile("/proc/sys/net/ipv6/fib_multipath_hash_fields", []byte("55"), 0o600), // 0x37
		os.WriteFile("/proc/sys/net/ipv6/fib_multipath_hash_policy", []byte("3"), 0o600),
	)
}

// bind makes a hook of a method of the rack.
func bind[T any](router router, method func(*rack, context.Context) (T, error)) func(context.Context, *driver.Cluster) (T, error) {
	return func(ctx context.Context, c *driver.Cluster) (T, error) {
		r, err := newRack(c, router)
		if err != nil {
			var none T

			return none, err
		}

		return method(r, ctx)
	}
}
