// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
)

// Hosts of the seed.
const (
	// GardenHost runs etcd and the API server that is both garden and seed.
	GardenHost = "garden"
	// SeedNode is the seed's one node.
	SeedNode = "seed"
)

// SeedConfig says which ranges the garden's cluster has. It is IPv6-only.
type SeedConfig struct {
	// Nodes is the prefix of the seed's link: ::1 is the router, ::10 the garden's API server, ::20 the seed's node.
	// From ::40 on addresses are free for others, such as the shoots' control planes.
	Nodes netip.Prefix
	// Pods and Services are the ranges of the cluster.
	Pods, Services netip.Prefix
	// PodsIPv4 are addresses that its pods have beside, for one purpose: API servers in it reach shoots' nodes that lack IPv6, in
	// ShootsIPv4. A VPN does that elsewhere. The cluster's own API knows nothing of it.
	PodsIPv4, ShootsIPv4 netip.Prefix
	// Images are docker archives for the seed's node.
	Images []string
	// Names are further names and addresses for the API server's serving certificate.
	Names []string
	// APIServerArgs are appended to the API server's flags.
	APIServerArgs []string
}

// DefaultSeed is the seed of `make demo`, without images.
func DefaultSeed() SeedConfig {
	return SeedConfig{
		Nodes:    netip.MustParsePrefix("fd5e:ed00:1::/64"),
		Pods:     netip.MustParsePrefix("fd5e:ed00:2::/64"),
		Services: netip.MustParsePrefix("fd5e:ed00:3::/112"),

		PodsIPv4:   netip.MustParsePrefix("192.168.96.0/20"),
		ShootsIPv4: netip.MustParsePrefix("10.0.0.0/8"),
	}
}

// Address is the address of the seed's link with the given host part.
func (c SeedConfig) Address(host uint16) netip.Addr {
	bytes := c.Nodes.Masked().Addr().As16()
	bytes[14], bytes[15] = byte(host>>8), byte(host)
	return netip.AddrFrom16(bytes)
}

// Gateway is the router's address on the seed's link.
func (c SeedConfig) Gateway() netip.Addr { return c.Address(0x1) }

// Host configures a host on the seed's link, such as a shoot's control plane.
func (c SeedConfig) Host(name string, host uint16) HostConfig {
	return HostConfig{Name: name, Link: SeedLink, Gateways: []netip.Addr{c.Gateway()},
		Addresses: []netip.Prefix{netip.PrefixFrom(c.Address(host), c.Nodes.Bits())}}
}

// DNS is the address of the seed's resolver.
func (c SeedConfig) DNS() netip.Addr { return DNSAddress(c.Services) }

// DNSAddress is the tenth address of a service range: the resolver's in Gardener's clusters.
func DNSAddress(services netip.Prefix) netip.Addr {
	a := services.Masked().Addr()
	for range 10 {
		a = a.Next()
	}
	return a
}

// Seed is the cluster that is garden and seed in one.
type Seed struct {
	// SeedConfig it was started with.
	SeedConfig
	// Cluster is its control plane.
	*Cluster
	// Etcd is shared by all control planes of the landscape.
	Etcd *Etcd
	// Node is its one node.
	Node *Node
}

// StartSeed brings up the router, etcd and the garden's cluster with one node, and waits until CoreDNS serves there.
func (l *Landscape) StartSeed(ctx context.Context, cfg SeedConfig) (*Seed, error) {
	if _, err := l.StartRouter(ctx); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	if err := l.SetGateway(ctx, SeedLink, netip.PrefixFrom(cfg.Gateway(), cfg.Nodes.Bits())); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	host, err := l.StartHost(ctx, cfg.Host(GardenHost, 0x10))
	if err != nil {
		return nil, err
	}
	s := &Seed{SeedConfig: cfg}
	if s.Etcd, err = l.StartEtcd(ctx, host, cfg.Address(0x10)); err != nil {
		return nil, err
	}
	start, within := errgroup.WithContext(ctx)
	start.Go(func() (err error) {
		s.Cluster, err = l.StartCluster(within, ClusterConfig{Host: host, Address: cfg.Address(0x10), Etcd: s.Etcd,
			ServiceCIDRs: []netip.Prefix{cfg.Services}, Names: cfg.Names, ExtraArgs: cfg.APIServerArgs})
		l.Logf("seed: API server is ready")
		return err
	})
	// containerd takes longer to import the images than the API server to start
	node := s.nodeConfig()
	start.Go(func() (err error) {
		s.Node, err = l.PrepareNode(within, node)
		l.Logf("seed: node has its images")
		return err
	})
	if err := start.Wait(); err != nil {
		return nil, err
	}
	node.Cluster = s.Cluster
	join, within := errgroup.WithContext(ctx)
	join.Go(func() error { return s.StartControllerManager(within, "--allocate-node-cidrs=false") })
	join.Go(func() error { return s.StartScheduler(within) })
	join.Go(func() error { return l.joinSeedNode(within, s, node) })
	join.Go(func() error { return s.Apply(within, CoreDNSManifest(cfg.DNS())) })
	return s, join.Wait()
}

// nodeConfig is that of the seed's node, with the reference plugins: the whole pod range is its own.
func (c SeedConfig) nodeConfig() NodeConfig {
	return NodeConfig{HostConfig: c.Host(SeedNode, 0x20), ClusterDNS: []netip.Addr{c.DNS()}, Images: c.Images, MaxPods: 110,
		CNIPlugins: []string{"loopback", "ptp", "host-local", "portmap"}, CNIConfig: ptpConfig(map[netip.Prefix]netip.Prefix{
			c.Pods: netip.PrefixFrom(netip.IPv6Unspecified(), 0), c.PodsIPv4: c.ShootsIPv4,
		})}
}

func (l *Landscape) joinSeedNode(ctx context.Context, s *Seed, node NodeConfig) error {
	if _, err := l.StartNode(ctx, node); err != nil {
		return err
	}
	// pods are routed: every host of the link, and the router, find them behind the node
	address := node.Addresses[0].Addr()
	if err := errors.Join(s.Cluster.Host.AddRoute(ctx, s.Pods, address), l.Router().AddRoute(ctx, s.Pods, address)); err != nil {
		return err
	}
	// IPv4 needs no addresses on the seed's link: its next hops are IPv6's
	if err := errors.Join(l.RouteTo(ctx, s.PodsIPv4, SeedNode), s.Node.AddRoute(ctx, s.ShootsIPv4, s.Gateway())); err != nil {
		return err
	}
	kubeconfig, err := s.Kubeconfig("system:kube-proxy")
	if err != nil {
		return err
	}
	return s.Node.StartKubeProxy(ctx, KubeProxyConfig(s.Node.Name, kubeconfig, s.Pods))
}

// KubeProxyConfig is a plain configuration of kube-proxy in nftables mode.
func KubeProxyConfig(node, kubeconfig string, pods netip.Prefix) []byte {
	return fmt.Appendf(nil, `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %s
bindAddress: "::"
healthzBindAddress: "[::]:10256"
metricsBindAddress: "[::1]:10249"
hostnameOverride: %s
clientConnection: {kubeconfig: %s}
# the limits are the machine's, and read-only in a node
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, pods, node, kubeconfig)
}

// PTPConfig is a network configuration list for one node that has the whole pod range: the reference plugins ptp and host-local.
func PTPConfig(pods netip.Prefix) []byte {
	return ptpConfig(map[netip.Prefix]netip.Prefix{pods: netip.PrefixFrom(netip.IPv6Unspecified(), 0)})
}

// ptpConfig takes the pods' ranges and, of each, where pods reach with an address of it. Ranges that are not set are left out.
func ptpConfig(pods map[netip.Prefix]netip.Prefix) []byte {
	var ranges, routes []any
	for _, subnet := range slices.SortedFunc(maps.Keys(pods), netip.Prefix.Compare) {
		if subnet.IsValid() {
			ranges = append(ranges, []any{map[string]any{"subnet": subnet.String()}})
			routes = append(routes, map[string]any{"dst": pods[subnet].String()})
		}
	}
	text, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0", "name": "landscape",
		"plugins": []any{
			map[string]any{"type": "ptp", "mtu": mtu, "ipMasq": false, "ipam": map[string]any{
				"type": "host-local", "dataDir": "/var/lib/cni/networks",
				"ranges": ranges, "routes": routes,
			}},
			map[string]any{"type": "portmap", "backend": "nftables", "capabilities": map[string]any{"portMappings": true}},
		},
	})
	if err != nil {
		panic(err) // maps of strings can always be marshalled
	}
	return text
}

//go:embed coredns.yaml
var corednsTemplate string

// CoreDNSManifest is the cluster's resolver, for Cluster.Apply.
func CoreDNSManifest(address netip.Addr) []byte {
	var text strings.Builder
	values := map[string]string{"DNS": address.String(), "Image": image.CoreDNS}
	if err := template.Must(template.New("coredns").Parse(corednsTemplate)).Execute(&text, values); err != nil {
		panic(err) // the template is part of the program
	}
	return []byte(text.String())
}

// Apply applies manifests as an administrator, as `kubectl apply --server-side` does.
func (c *Cluster) Apply(ctx context.Context, manifests []byte) error {
	_, err := c.Kubectl(ctx, string(manifests), "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// Kubectl runs kubectl on the machine as an administrator of the cluster and gives what it prints.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Host.l.program("kubectl"), args...) // #nosec G204 -- what the driver asks for
	cmd.Env = append(c.Host.environ(nil), "KUBECONFIG="+c.AdminKubeconfig())
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("cluster %s: kubectl %s: %w: %s", c.Host.Name, strings.Join(args, " "), err, lastLines(string(out), 5))
	}
	return string(out), nil
}

// WaitNodesReady waits until so many nodes are Ready.
func (c *Cluster) WaitNodesReady(ctx context.Context, count int, limit time.Duration) error {
	return wait(ctx, fmt.Sprintf("readiness of %d nodes of %s", count, c.Host.Name), limit, func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "", "get", "nodes", "--no-headers")
		if err != nil {
			return err
		}
		if ready := strings.Count(out, " Ready "); ready < count {
			return fmt.Errorf("%d are, see:\n%s", ready, out)
		}
		return nil
	})
}

// WaitRollout waits until a Deployment or DaemonSet, such as "deployment/coredns", is rolled out.
func (c *Cluster) WaitRollout(ctx context.Context, namespace, workload string, limit time.Duration) error {
	_, err := c.Kubectl(ctx, "", "--namespace", namespace, "rollout", "status", workload, "--timeout", limit.String())
	return err
}
