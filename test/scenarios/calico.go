// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

// calicoNetworking is Calico's lab: nodes have IPv4 only, pods both families. Its pools are VXLAN Always for IPv6, CrossSubnet for IPv4,
// which is what CrossSubnet means here, since what nodes lack can only be wrapped.
const calicoNetworking = `
type: ipv6
ipFamilies: [IPv4, IPv6]
nodes: v4private
pods: v4private,v6private/48
services: v4private,v6private/112
providerConfig:
  apiVersion: ipv6.networking.extensions.gardener.cloud/v1alpha1
  kind: NetworkConfig
  encapsulation:
    mode: %s
`

// calicoServices are the lab's.
const calicoServices = `
apiVersion: v1
kind: Service
metadata: {name: web-dual-stack, namespace: demo}
spec:
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web-ipv6-only, namespace: demo}
spec:
  ipFamilyPolicy: SingleStack
  ipFamilies: [IPv6]
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`

// calicoSubnets are the subnets of the nodes, each on a link of its own. The last node is in the second.
var calicoSubnets = []struct {
	link   machine.Link
	subnet netip.Prefix
}{
	{machine.ShootLink, netip.MustParsePrefix("10.250.0.0/24")},
	{"subnet-b", netip.MustParsePrefix("10.250.1.0/24")},
}

// inSubnet is the address with a number in an IPv4 subnet.
func inSubnet(subnet netip.Prefix, number byte) netip.Prefix {
	bytes := subnet.Addr().As4()
	bytes[3] = number

	return netip.PrefixFrom(netip.AddrFrom4(bytes), subnet.Bits())
}

// Calico is Calico's lab with VXLAN for everything that goes from node to node.
func Calico() driver.Scenario {
	return driver.Scenario{
		Name:       "calico",
		Title:      "IPv4-only nodes in two subnets; pods and Services of both families; VXLAN, as in Calico's lab",
		Networking: fmt.Sprintf(calicoNetworking, "Always"),
		Workload:   calicoServices,
		BeforeNodes: func(ctx context.Context, c *driver.Cluster) error {
			for _, s := range calicoSubnets {
				if err := c.Machines().StartLink(ctx, s.link); err != nil {
					return err
				}

				if err := c.Machines().SetGateway(ctx, s.link, inSubnet(s.subnet, 1)); err != nil {
					return err
				}
			}

			return nil
		},
		AfterDeletion: func(ctx context.Context, c *driver.Cluster) error {
			for _, s := range calicoSubnets {
				if err := c.Machines().ClearLink(ctx, s.link); err != nil {
					return err
				}
			}

			return nil
		},
		Machine: func(_ *driver.Cluster, number int) (driver.Machine, error) {
			s := calicoSubnets[0]
			if number == driver.DefaultNodes {
				s = calicoSubnets[1]
			}

			return driver.Machine{HostConfig: machine.HostConfig{
				Link:      s.link,
				Addresses: []netip.Prefix{inSubnet(s.subnet, 10+byte(number))}, // #nosec G115 -- a handful of nodes
				Gateways:  []netip.Addr{inSubnet(s.subnet, 1).Addr()},
			}}, nil
		},
		// the infrastructure knows nothing of pods
		Routes:   driver.NoRoutes,
		Journeys: calicoJourneys,
		Checks: []driver.Check{
			{Title: "nodes have IPv4 only", Run: checkNodesLackIPv6},
			{Title: "each pod has two addresses", Run: checkTwoAddresses},
			{Title: "pods reach pods by both families, all of it in VXLAN over IPv4", Run: func(ctx context.Context, c *driver.Cluster) (string, error) {
				return checkWrapped(ctx, c, func(_, _ *corev1.Pod, _ bool) bool { return true })
			}},
			{Title: "IPv4 leaves the cluster with the node's address", Run: checkMasqueraded},
			{Title: "Services of both families, and of IPv6 only", Run: checkCalicoServices},
			{Title: "full packets pass in one piece", Run: checkFullPackets},
			{Title: "CrossSubnet: IPv4 is wrapped between the subnets only, IPv6 always", Disturbs: true, Run: checkCrossSubnet},
		},
	}
}

func checkNodesLackIPv6(ctx context.Context, c *driver.Cluster) (string, error) {
	nodes, err := nodesOf(ctx, c)
	if err != nil {
		return "", err
	}

	found := make([]string, 0, len(nodes))

	for i := range nodes {
		node := &nodes[i]
		if six := internalIPs(node, true); len(six) > 0 {
			return "", fmt.Errorf("node %s has the addresses %v", node.Name, six)
		}

		out, err := c.Machines().Host(node.Name).Run(ctx, "ip", "-6", "-oneline", "address", "show", "dev", "eth0", "scope", "global")
		if err != nil {
			return "", err
		}

		if strings.TrimSpace(out) != "" {
			return "", fmt.Errorf("eth0 of node %s has IPv6: %s", node.Name, out)
		}

		found = append(found, fmt.Sprint(internalIPs(node, false)))
	}

	return strings.Join(found, ", "), nil
}

func checkTwoAddresses(ctx context.Context, c *driver.Cluster) (string, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return "", err
	}

	nodes, err := nodesOf(ctx, c)
	if err != nil {
		return "", err
	}

	var found []string

	for i := range pods {
		pod := &pods[i]

		out, err := inPod(c, pod)(ctx, "ip", "-oneline", "address", "show", "dev", "eth0")
		if err != nil {
			return "", err
		}

		for _, six := range []bool{false, true} {
			address, err := podAddress(pod, six)
			if err != nil {
				return "", err
			}

			own, err := rangeOfNode(nodes, pod.Spec.NodeName, six)
			if err != nil {
				return "", err
			}

			if !own.Contains(address) {
				return "", fmt.Errorf("pod %s has %s, which is not of its node's %s", pod.Name, address, own)
			}

			if !strings.Contains(out, " "+single(address).String()+" ") {
				return "", fmt.Errorf("eth0 of pod %s lacks %s: %s", pod.Name, address, out)
			}

			found = append(found, address.String())
		}

		if pod.Status.PodIP != pod.Status.PodIPs[0].IP || strings.Contains(pod.Status.PodIP, ":") {
			return "", fmt.Errorf("the first address of pod %s is %s instead of that of IPv4", pod.Name, pod.Status.PodIP)
		}
	}

	return strings.Join(found, " "), nil
}

func rangeOfNode(nodes []corev1.Node, name string, six bool) (netip.Prefix, error) {
	for i := range nodes {
		if nodes[i].Name == name {
			return podRange(&nodes[i], six)
		}
	}

	return netip.Prefix{}, fmt.Errorf("there is no node %s", name)
}

// outward are the calls of the web servers to the host outside by IPv4: it sees their nodes.
func outward(c *driver.Cluster, pods []corev1.Pod) ([]call, error) {
	calls := make([]call, 0, len(pods))

	for i := range pods {
		node, err := netip.ParseAddr(pods[i].Status.HostIP)
		if err != nil {
			return nil, fmt.Errorf("node of pod %s: %w", pods[i].Name, err)
		}

		calls = append(calls, call{
			from: "pod on " + pods[i].Spec.NodeName, to: "host outside", run: inPod(c, &pods[i]),
			host: c.Machines().OutsideAddressIPv4().String(), port: driver.OutsidePort, want: node, why: "its node's: masqueraded",
		})
	}

	return calls, nil
}

func checkMasqueraded(ctx context.Context, c *driver.Cluster) (string, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return "", err
	}

	calls, err := outward(c, pods)
	if err != nil {
		return "", err
	}

	count, err := checkAll(ctx, calls)

	return fmt.Sprintf("%d calls", count), err
}

// serviceCalls are the client's calls of the Services by every address that they are to have.
func serviceCalls(ctx context.Context, c *driver.Cluster) ([]call, error) {
	caller, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}

	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}

	var calls []call

	for _, s := range []struct {
		name string
		six  []bool
	}{{"web", []bool{false}}, {"web-dual-stack", []bool{false, true}}, {"web-ipv6-only", []bool{true}}} {
		service := &corev1.Service{}
		if err := api.Get(ctx, keyOf(s.name), service); err != nil {
			return nil, fmt.Errorf("the Service %s: %w", s.name, err)
		}

		if len(service.Spec.ClusterIPs) != len(s.six) {
			return nil, fmt.Errorf("the Service %s has the addresses %q", s.name, service.Spec.ClusterIPs)
		}

		for i, six := range s.six {
			address, err := netip.ParseAddr(service.Spec.ClusterIPs[i])
			if err != nil || address.Is6() != six {
				return nil, fmt.Errorf("the Service %s has the addresses %q: %w", s.name, service.Spec.ClusterIPs, err)
			}

			own, err := podAddress(caller, six)
			if err != nil {
				return nil, err
			}

			calls = append(calls, call{
				from: "client", to: "Service " + s.name + " at " + address.String(), run: inPod(c, caller),
				host: address.String(), port: 80, want: own, why: "its own: no NAT",
			})
		}
	}

	own, err := podAddress(caller, true)

	return append(calls, call{
		from: "client", to: "Service web-ipv6-only by its name", run: inPod(c, caller),
		host: "web-ipv6-only." + driver.WorkloadNamespace + ".svc.cluster.local", port: 80, want: own, why: "its own: no NAT",
	}), err
}

func checkCalicoServices(ctx context.Context, c *driver.Cluster) (string, error) {
	calls, err := serviceCalls(ctx, c)
	if err != nil {
		return "", err
	}

	count, err := checkAll(ctx, calls)

	return fmt.Sprintf("%d calls, by address and by name", count), err
}

// calicoJourneys are some of all ways, for the report.
func calicoJourneys(ctx context.Context, c *driver.Cluster) ([]show.Journey, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return nil, err
	}

	var calls []call

	for _, six := range []bool{false, true} {
		all, err := between(c, pods, six)
		if err != nil {
			return nil, err
		}

		// of each node's pod to the next node's
		for i := range pods {
			calls = append(calls, all[i*(len(pods)-1)])
		}
	}

	services, err := serviceCalls(ctx, c)
	if err != nil {
		return nil, err
	}

	out, err := outward(c, pods[:1])

	var journeys []show.Journey
	for _, made := range append(append(calls, services...), out...) {
		journeys = append(journeys, made.journey(ctx))
	}

	return journeys, err
}
