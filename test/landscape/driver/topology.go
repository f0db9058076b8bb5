// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/rest"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// The landscape's own addresses, beside those of machine.DefaultSeed: where the Shoot's API server is exposed, and somebody on
// the Internet. The addresses of the Shoot are not here, because nobody knows them before they are reserved.
var (
	shootAPI    = netip.MustParseAddr("fd5e:ed00:4::1")
	outsideLink = netip.MustParsePrefix("2001:db8:0:1::/64")

	// The same in IPv4. The seed has none of it: a load balancer of the infrastructure stands before the API server.
	shootAPIv4    = netip.MustParseAddr("192.0.2.1")
	outsideLinkv4 = netip.MustParsePrefix("203.0.113.0/24")
)

const (
	// OutsideName is the host that has nothing to do with Kubernetes.
	OutsideName = "outside"
	// OutsidePort is where the outside host tells every caller the address that it sees.
	OutsidePort = 8080

	outsideHost = 2
	// seedNodeHost is the last byte of the address of the seed's node.
	seedNodeHost = 0x20
)

// Topology is the landscape's hosts: a router that joins three links; on the first the control plane of garden and seed and the
// seed's one node, on the second the Shoot's nodes, on the third a host outside.
type Topology struct {
	*machine.Landscape

	seed   *machine.Seed
	images *image.Set
}

// StartTopology brings up everything but the Shoot, or finds it up.
// The images go to imageDir; version is that of our own programs.
func StartTopology(ctx context.Context, landscape *machine.Landscape, imageDir, version string, progress *Progress) (*Topology, error) {
	t := &Topology{Landscape: landscape}

	if err := progress.Step(ctx, "machine: images", func(context.Context) (err error) {
		t.images, err = image.Build(image.Options{Bin: landscape.Bin, Dir: imageDir, Version: version, Logf: landscape.Logf})

		return err
	}); err != nil {
		return nil, err
	}

	if err := progress.Step(ctx, "machine: router, etcd, API server and node of garden and seed", t.startSeed); err != nil {
		return nil, err
	}

	return t, progress.Step(ctx, "machine: outside host, routes", t.startOutside)
}

func (t *Topology) startSeed(ctx context.Context) error {
	config := machine.DefaultSeed()
	config.Images = t.images.Seed()

	seed, err := t.StartSeed(ctx, config)
	if err != nil {
		return err
	}

	t.seed = seed

	return nil
}

// SeedNetworks are the seed's ranges.
func (t *Topology) SeedNetworks() Networks {
	return Networks{Nodes: t.seed.Nodes, Pods: t.seed.Pods, Services: t.seed.Services}
}

// ShootAPIAddress is where the Shoot's API server is exposed, and ShootAPIAddressIPv4 where it is so to those that lack IPv6.
func (t *Topology) ShootAPIAddress() netip.Addr { return shootAPI }

// ShootAPIAddressIPv4 is ShootAPIAddress of the other family.
func (t *Topology) ShootAPIAddressIPv4() netip.Addr { return shootAPIv4 }

// OutsideAddress is the address of the outside host.
func (t *Topology) OutsideAddress() netip.Addr { return addressOf(outsideLink, outsideHost).Addr() }

// OutsideAddressIPv4 is OutsideAddress of the other family.
func (t *Topology) OutsideAddressIPv4() netip.Addr {
	return addressOf(outsideLinkv4, outsideHost).Addr()
}

// Image is the reference of a program's image, which is present on the nodes that need it.
func (t *Topology) Image(program string) string { return t.images.Reference(program) }

// LogDir is where the processes of the landscape log.
func (t *Topology) LogDir() string { return filepath.Join(t.Dir, "*", "*.log") }

// SeedConfig is an administrator's access to garden and seed from the machine itself.
func (t *Topology) SeedConfig() (*rest.Config, error) { return t.seed.RESTConfig() }

// SeedKubeconfig is the path of a kubeconfig of garden and seed for a person.
func (t *Topology) SeedKubeconfig() string { return t.seed.AdminKubeconfig() }

// startOutside starts the host outside and tells the router what the seed's node answers for.
func (t *Topology) startOutside(ctx context.Context) error {
	for _, prefix := range []netip.Prefix{t.seed.Services, netip.PrefixFrom(shootAPI, shootAPI.BitLen())} {
		if err := t.Router().AddRoute(ctx, prefix, t.seed.Address(seedNodeHost)); err != nil {
			return err
		}
	}

	gateway, gatewayv4 := addressOf(outsideLink, gatewayHost), addressOf(outsideLinkv4, gatewayHost)
	if err := t.SetGateway(ctx, machine.OutsideLink, gateway, gatewayv4); err != nil {
		return err
	}

	if err := t.StartFrontend(ctx, "shoot-api", netip.AddrPortFrom(shootAPIv4, 443), netip.AddrPortFrom(shootAPI, 443)); err != nil {
		return err
	}

	outside, err := t.StartHost(ctx, machine.HostConfig{
		Name:      OutsideName,
		Link:      machine.OutsideLink,
		Addresses: []netip.Prefix{addressOf(outsideLink, outsideHost), addressOf(outsideLinkv4, outsideHost)},
		Gateways:  []netip.Addr{gateway.Addr(), gatewayv4.Addr()},
	})
	if err != nil {
		return err
	}

	return outside.Start(ctx, machine.Process{
		Name:    "agnhost",
		Command: []string{"agnhost", "netexec", fmt.Sprintf("--http-port=%d", OutsidePort), "--udp-port=8081"},
	})
}

// SetShootGateway gives the router its address on the link of the Shoot's nodes.
func (t *Topology) SetShootGateway(ctx context.Context, gateway netip.Prefix) error {
	return t.SetGateway(ctx, machine.ShootLink, gateway)
}

// SetShootRoutes makes the router know the way to exactly these prefixes of the pool.
func (t *Topology) SetShootRoutes(ctx context.Context, want map[netip.Prefix]netip.Addr) error {
	have, err := t.Router().Routes(ctx)
	if err != nil {
		return err
	}

	for prefix, via := range want {
		if err := t.Router().AddRoute(ctx, prefix, via); err != nil {
			return err
		}
	}

	for _, route := range have {
		if _, wanted := want[route.Dst]; wanted || !Pool.Contains(route.Dst.Addr()) {
			continue
		}

		if err := t.Router().DeleteRoute(ctx, route.Dst); err != nil {
			return err
		}
	}

	return nil
}

// StartShootNode brings a node of the Shoot up. It has no CNI configuration: that is the extension's.
func (t *Topology) StartShootNode(ctx context.Context, node Node) error {
	config := machine.NodeConfig{
		HostConfig:  node.HostConfig,
		Kubeconfig:  node.Kubeconfig,
		ClientCA:    node.ClientCA,
		ServingCert: node.Serving.certificate,
		ServingKey:  node.Serving.key,
		ClusterDNS:  node.DNS,
		Labels:      node.Labels,
		ProviderID:  "landscape:///" + node.Name,
		Images:      t.images.Shoot(),
		KubeletArgs: []string{"--register-with-taints=" + node.Taints},
		MaxPods:     110,
	}

	if node.Prepare != nil {
		host, err := t.PrepareNode(ctx, config)
		if err != nil {
			return err
		}

		if err := node.Prepare(ctx, host); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}

	_, err := t.StartNode(ctx, config)

	return err
}

// WriteNodeFile writes a file that programs on a node can read, and gives its path there.
func (t *Topology) WriteNodeFile(node, name string, content []byte) (string, error) {
	path := filepath.Join(t.Node(node).Dir(), name)

	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, content) { // #nosec G304 -- the landscape's own directory
		return path, nil
	}

	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", fmt.Errorf("file %s of node %s: %w", name, node, err)
	}

	return path, nil
}

// StartKubeProxy runs kube-proxy on a node of the Shoot.
func (t *Topology) StartKubeProxy(ctx context.Context, node string, config []byte) error {
	return t.Node(node).StartKubeProxy(ctx, config)
}

// RemoveShootNode ends a node, if it is there, and forgets its disk.
func (t *Topology) RemoveShootNode(ctx context.Context, name string) error {
	return t.Node(name).Remove(ctx)
}

// fromOutside changes the access to the Shoot's API server so that it works on the machine, outside of the landscape.
func (t *Topology) fromOutside(ctx context.Context, config *rest.Config) (*rest.Config, error) {
	port, err := t.Router().Forward(ctx, "shoot-api", netip.AddrPortFrom(shootAPI, 443))
	if err != nil {
		return nil, err
	}

	config.Host = "https://127.0.0.1:" + strconv.Itoa(port)
	config.ServerName = shootAPI.String()

	return config, nil
}

// EtcdData is where the etcd of a Shoot keeps its data, on the disk of the seed's node.
func (t *Topology) EtcdData(uid string) string {
	return t.seed.Node.Path("/var/lib/kubelet/landscape-etcd/" + uid)
}
