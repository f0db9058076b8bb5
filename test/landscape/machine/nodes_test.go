// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// threeNodes is a cluster that owes nothing to this project's CNI: the reference plugins ptp and host-local, and routes on the
// router. What fails on it is the landscape's fault.
type threeNodes struct {
	*bed
	cluster *machine.Cluster
	outside *machine.Host
}

var (
	nodesLink   = netip.MustParsePrefix("2001:db8:1::/64")
	outsideLink = netip.MustParsePrefix("2001:db8:2::/64")
	services    = netip.MustParsePrefix("fd5e:ed00:5::/112")
)

func at(p netip.Prefix, host byte) netip.Prefix {
	bytes := p.Addr().As16()
	bytes[15] = host
	return netip.PrefixFrom(netip.AddrFrom16(bytes), p.Bits())
}

func startThreeNodes(t *testing.T, images []string) *threeNodes {
	c := &threeNodes{bed: newBed(t, "gx6v")}
	g, ctx := c.g, t.Context()
	_, err := c.StartRouter(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.SetGateway(ctx, machine.SeedLink, at(c.config.Nodes, 1))).To(Succeed())
	g.Expect(c.SetGateway(ctx, machine.ShootLink, at(nodesLink, 1))).To(Succeed())
	g.Expect(c.SetGateway(ctx, machine.OutsideLink, at(outsideLink, 1))).To(Succeed())
	c.outside, err = c.StartHost(ctx, machine.HostConfig{Name: "outside", Link: machine.OutsideLink,
		Addresses: []netip.Prefix{at(outsideLink, 2)}, Gateways: []netip.Addr{at(outsideLink, 1).Addr()}})
	g.Expect(err).NotTo(HaveOccurred())
	host, err := c.StartHost(ctx, c.config.Host("control", 0x40))
	g.Expect(err).NotTo(HaveOccurred())
	etcd, err := c.StartEtcd(ctx, host, c.config.Address(0x40))
	g.Expect(err).NotTo(HaveOccurred())
	c.cluster, err = c.StartCluster(ctx, machine.ClusterConfig{Host: host, Address: c.config.Address(0x40), Etcd: etcd, ServiceCIDRs: []netip.Prefix{services}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.cluster.StartControllerManager(ctx, "--allocate-node-cidrs=false")).To(Succeed())
	g.Expect(c.cluster.StartScheduler(ctx)).To(Succeed())
	g.Expect(c.cluster.Apply(ctx, machine.CoreDNSManifest(machine.DNSAddress(services)))).To(Succeed())
	var nodes errgroup.Group
	for i := byte(1); i <= 3; i++ {
		nodes.Go(func() error { return c.startNode(t, i, images) })
	}
	g.Expect(nodes.Wait()).To(Succeed())
	g.Expect(c.cluster.WaitNodesReady(ctx, 3, 2*time.Minute)).To(Succeed())
	g.Expect(c.cluster.WaitRollout(ctx, "kube-system", "deployment/coredns", 2*time.Minute)).To(Succeed())
	return c
}

func (c *threeNodes) startNode(t *testing.T, i byte, images []string) error {
	address := at(nodesLink, 0x10+i)
	pods := netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:%d::/64", i))
	node, err := c.StartNode(t.Context(), machine.NodeConfig{
		HostConfig: machine.HostConfig{Name: fmt.Sprintf("n%d", i), Link: machine.ShootLink, Addresses: []netip.Prefix{address},
			Gateways: []netip.Addr{at(nodesLink, 1).Addr()}},
		Cluster: c.cluster, ClusterDNS: []netip.Addr{machine.DNSAddress(services)}, Images: images,
		CNIPlugins: []string{"loopback", "ptp", "host-local", "portmap"}, CNIConfig: machine.PTPConfig(pods),
	})
	if err != nil {
		return err
	}
	if err := c.Router().AddRoute(t.Context(), pods, address.Addr()); err != nil {
		return err
	}
	kubeconfig, err := c.cluster.Kubeconfig("system:kube-proxy")
	if err != nil {
		return err
	}
	return node.StartKubeProxy(t.Context(), machine.KubeProxyConfig(node.Name, kubeconfig, netip.MustParsePrefix("2001:db8:1::/48")))
}

// TestConformance runs upstream's tests in focus on a cluster with the reference plugins: all of [sig-network] Conformance
// with LANDSCAPE_FOCUS='\[sig-network\].*\[Conformance\]', a few that need several nodes without.
func TestConformance(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("LEFT OUT: upstream's end-to-end tests, because of -short")
	}
	g := NewWithT(t)
	bin, err := build.BinDir()
	g.Expect(err).NotTo(HaveOccurred())
	if _, err := os.Stat(filepath.Join(bin, "e2e.test")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("upstream's end-to-end tests are not built: go run ./test/landscape/build/cmd e2e")
		}
		t.Skip("LEFT OUT: upstream's end-to-end tests are not built: go run ./test/landscape/build/cmd e2e")
	}
	root, err := build.Root()
	g.Expect(err).NotTo(HaveOccurred())
	version, err := os.ReadFile(filepath.Join(root, "VERSION")) // #nosec G304 -- a file of the repository
	g.Expect(err).NotTo(HaveOccurred())
	images, err := image.Build(image.Options{Bin: bin, Dir: filepath.Join(bin, "..", "images"), Version: strings.TrimSpace(string(version)), Logf: t.Logf})
	g.Expect(err).NotTo(HaveOccurred())
	start := time.Now()
	c := startThreeNodes(t, images.Shoot())
	t.Logf("three nodes after %s", time.Since(start))

	focus := os.Getenv("LANDSCAPE_FOCUS")
	if focus == "" {
		focus = `Networking Granular Checks: Pods should function for (intra|node)-pod communication: http|should serve a basic endpoint from pods`
	}
	kubeconfig, err := c.cluster.Kubeconfig("admin", "system:masters")
	g.Expect(err).NotTo(HaveOccurred())
	result, err := machine.E2E{Host: c.outside, Kubeconfig: kubeconfig, Focus: focus, Nodes: 3, Dir: t.TempDir()}.Run(t.Context())
	t.Logf("%d of %d after %s", result.Passed, result.Ran, time.Since(start))
	if err != nil {
		log, _ := os.ReadFile(result.Log)
		t.Logf("log:\n%s", log)
	}
	g.Expect(err).NotTo(HaveOccurred(), strings.Join(result.Failed, "\n"))
	c.expectNoTrace(t)
}
