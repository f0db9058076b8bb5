// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/capture"
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
				if err := c.Machines().SetGateway(ctx, s.link); err != nil {
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

// checkWrapped has all web servers call one another in both families, and compares each connection's first packet at the router's ports
// with what is expected of it: wrapped in VXLAN between the nodes' addresses, or not.
func checkWrapped(ctx context.Context, c *driver.Cluster, wrapped func(from, to *corev1.Pod, six bool) bool) (string, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return "", err
	}

	recording, err := capture.Start(c.Machines().Router())
	if err != nil {
		return "", err
	}

	var count int

	for _, six := range []bool{false, true} {
		var calls []call

		if calls, err = between(c, pods, six); err != nil {
			break
		}

		var made int
		if made, err = checkAll(ctx, calls); err != nil {
			break
		}

		count += made
	}

	packets, stopErr := recording.Stop()
	if err == nil {
		err = stopErr
	}

	if err != nil {
		return "", err
	}

	seen := openings(packets)

	for i := range pods {
		for j := range pods {
			for _, six := range []bool{false, true} {
				if i == j {
					continue
				}

				if err := seen.check(&pods[i], &pods[j], six, wrapped(&pods[i], &pods[j], six)); err != nil {
					return "", err
				}
			}
		}
	}

	return fmt.Sprintf("%d calls, %d ways wrapped, %d not", count, len(seen.wrapped), len(seen.plain)), nil
}

// way is from a pod's address to another's.
type way struct{ from, to netip.Addr }

// opened tells which ways connections were opened, and how their first packets passed: outer addresses of those that were wrapped.
type opened struct {
	wrapped map[way]way
	plain   map[way]bool
}

func openings(packets []capture.Packet) opened {
	o := opened{wrapped: map[way]way{}, plain: map[way]bool{}}

	for _, p := range packets {
		switch {
		case p.Inner != nil && p.Inner.SYN && p.Inner.DestinationPort == webPort:
			o.wrapped[way{p.Inner.Source, p.Inner.Destination}] = way{p.Source, p.Destination}
		case p.SYN && p.DestinationPort == webPort:
			o.plain[way{p.Source, p.Destination}] = true
		}
	}

	return o
}

func (o opened) check(from, to *corev1.Pod, six, wrapped bool) error {
	source, err := podAddress(from, six)
	if err != nil {
		return err
	}

	destination, err := podAddress(to, six)
	if err != nil {
		return err
	}

	w := way{source, destination}
	outer, is := o.wrapped[w]

	switch {
	case is == o.plain[w]:
		return fmt.Errorf("from %s to %s: wrapped is %t, not wrapped is %t", source, destination, is, o.plain[w])
	case is != wrapped:
		return fmt.Errorf("from %s to %s: wrapped is %t instead of %t", source, destination, is, wrapped)
	case is && (outer.from.String() != from.Status.HostIP || outer.to.String() != to.Status.HostIP):
		return fmt.Errorf("from %s to %s: wrapped from %s to %s instead of from node %s to node %s",
			source, destination, outer.from, outer.to, from.Status.HostIP, to.Status.HostIP)
	}

	return nil
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
			return nil, fmt.Errorf("Service %s: %w", s.name, err)
		}

		if len(service.Spec.ClusterIPs) != len(s.six) {
			return nil, fmt.Errorf("Service %s has the addresses %q", s.name, service.Spec.ClusterIPs)
		}

		for i, six := range s.six {
			address, err := netip.ParseAddr(service.Spec.ClusterIPs[i])
			if err != nil || address.Is6() != six {
				return nil, fmt.Errorf("Service %s has the addresses %q: %w", s.name, service.Spec.ClusterIPs, err)
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

// wrapping is what VXLAN over IPv4 adds: 20 octets of IPv4, 8 of UDP, 8 of VXLAN, 14 of Ethernet.
const wrapping = 50

// checkFullPackets sends a megabyte both ways, whose packets fill the pods' MTU, which leaves room for the wrapping.
func checkFullPackets(ctx context.Context, c *driver.Cluster) (string, error) {
	pods, err := c.Workload(ctx)
	if err != nil {
		return "", err
	}

	from, to := &pods[0], &pods[len(pods)-1]

	mtu, err := inPod(c, from)(ctx, "cat", "/sys/class/net/eth0/mtu")
	if err != nil {
		return "", err
	}

	if want := strconv.Itoa(1500 - wrapping); strings.TrimSpace(mtu) != want {
		return "", fmt.Errorf("the MTU of pods is %s instead of %s", strings.TrimSpace(mtu), want)
	}

	for _, six := range []bool{false, true} {
		address, err := podAddress(to, six)
		if err != nil {
			return "", err
		}

		script := "head -c 1000000 /dev/zero | tr '\\0' 'x' >/tmp/sent && curl --silent --show-error --fail --globoff --max-time 10 " +
			"--form file=@/tmp/sent http://" + netip.AddrPortFrom(address, webPort).String() + "/upload"

		out, err := inPod(c, from)(ctx, "sh", "-c", script)
		if err != nil {
			return "", fmt.Errorf("a megabyte to %s: %w", address, err)
		}

		if !strings.Contains(out, "/uploads/") {
			return "", fmt.Errorf("a megabyte to %s: the other end answers %q", address, out)
		}
	}

	return "MTU " + strings.TrimSpace(mtu) + ", a megabyte by each family", nil
}

// checkCrossSubnet has the owner change the mode, and change it back.
func checkCrossSubnet(ctx context.Context, c *driver.Cluster) (found string, err error) {
	if err := setEncapsulation(ctx, c, "CrossSubnet"); err != nil {
		return "", err
	}

	err = driver.Await(ctx, "the agents to follow", 2*reachLimit, func(ctx context.Context) (err error) {
		found, err = checkWrapped(ctx, c, func(from, to *corev1.Pod, six bool) bool { return six || subnetOf(from) != subnetOf(to) })

		return err
	})
	if err != nil {
		return "", err
	}

	if err := setEncapsulation(ctx, c, "Always"); err != nil {
		return "", err
	}

	return found, driver.Await(ctx, "the agents to follow back", 2*reachLimit, func(ctx context.Context) error {
		_, err := checkWrapped(ctx, c, func(_, _ *corev1.Pod, _ bool) bool { return true })

		return err
	})
}

// subnetOf the node of a pod.
func subnetOf(pod *corev1.Pod) netip.Prefix {
	for _, s := range calicoSubnets {
		if node, err := netip.ParseAddr(pod.Status.HostIP); err == nil && s.subnet.Contains(node) {
			return s.subnet
		}
	}

	return netip.Prefix{}
}

// setEncapsulation applies the Shoot with another mode, and reconciles it.
func setEncapsulation(ctx context.Context, c *driver.Cluster, mode string) error {
	scenario := c.Scenario
	scenario.Networking = fmt.Sprintf(calicoNetworking, mode)

	manifest, err := scenario.Manifest()
	if err != nil {
		return err
	}

	_, err = c.Deploy(ctx, manifest, scenario.Nodes)

	return err
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
