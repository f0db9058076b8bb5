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
)

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
