// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"net/netip"
	"testing"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	. "github.com/onsi/gomega"
)

// TestARuntimesWay goes the way of a container runtime: the list that the agent wrote, the plugins that it installed, the CNI library,
// every operation. A hostPort leads to the pod.
func TestARuntimesWay(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	l, nodes := cluster(t, v6(), n1(), n2())
	n := nodes[0]
	p := n.newPod(t, "a")
	list, err := libcni.LoadNetworkConf(n.file.path("net.d"), "ipv6")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(list.CNIVersion).To(Equal("1.1.0"), "the highest of cniVersions that the library knows")
	cni := libcni.NewCNIConfigWithCacheDir([]string{n.file.path("bin")}, n.file.path("cache"), nil)
	hostPort := []map[string]any{{"hostPort": 8007, "containerPort": 7, "protocol": "udp"}}
	run := &libcni.RuntimeConf{ContainerID: p.id, NetNS: p.path, IfName: "eth0", CapabilityArgs: map[string]any{"portMappings": hostPort}}
	// The library starts the plugins where the runtime is: on the node.
	on := func(f func() error) { g.ExpectWithOffset(1, n.within(f)).To(Succeed()) }

	on(func() error { return cni.GetStatusNetworkList(t.Context(), list) })
	on(func() error {
		r, err := cni.AddNetworkList(t.Context(), list, run)
		if err != nil {
			return err
		}
		result, err := types100.NewResultFromResult(r)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(result.IPs).To(HaveLen(1))
		g.Expect(result.IPs[0].Address.String()).To(Equal("fd00:10::1:d000:1/128"))
		return err
	})
	on(func() error { return cni.CheckNetworkList(t.Context(), list, run) })

	pod, door := netip.MustParseAddr("fd00:10::1:d000:1"), netip.MustParseAddrPort("[fd00:cafe::11]:8007")
	p.echo(t, pod)
	g.Expect(l.askPort(t, door)).To(Equal("fd00:cafe::1"), "from outside: no NAT of the source")
	g.Expect(nodes[1].askPort(t, door)).To(Equal("fd00:cafe::12"), "from another node")
	other := nodes[1].newPod(t, "b").add(t)
	g.Expect(other.askPort(t, door)).To(Equal("fd00:10::2:d000:1"), "from another node's pod")
	g.Expect(n.askPort(t, door)).To(Equal("fd00:cafe::11"), "from the node itself")
	g.Expect(p.askPort(t, door)).NotTo(BeEmpty(), "from the pod itself")

	on(func() error { return cni.GCNetworkList(t.Context(), list, nil) })
	g.Expect(n.records(t)).To(BeEmpty(), "nothing was valid")
	on(func() error { return cni.DelNetworkList(t.Context(), list, run) })
	g.Expect(n.run(t, "nft", "list", "ruleset")).NotTo(ContainSubstring("8007"))
}
