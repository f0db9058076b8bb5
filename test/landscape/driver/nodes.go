// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"time"

	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// gatewayHost and firstNodeHost are the last bytes of addresses in the first part of the nodes range.
	gatewayHost = 1
	// nodeUserPrefix is how kubelets' users are named.
	nodeUserPrefix = "system:node:"
	firstNodeHost  = 0x10
	// maxNodes is how many nodes the landscape has room for.
	maxNodes = 9

	// criticalTaint keeps pods off a node until its critical components run; Gardener's nodes register with it.
	criticalTaint = constants.TaintNodeCriticalComponentsNotReady
)

// NodeName is the name of the node with the given number, from 1.
func NodeName(number int) string { return fmt.Sprintf("n%d", number) }

// Node is a node of the Shoot as the driver makes it.
type Node struct {
	// Machine that it runs on.
	Machine
	// DNS are the addresses of the Shoot's DNS.
	DNS []netip.Addr
	// Kubeconfig of its kubelet, ClientCA that kubelet trusts, and Serving its own certificate.
	Kubeconfig, ClientCA []byte
	Serving              keyPair
	// Taints it registers with.
	Taints string
}

// startNodes plays the Worker's provider and the operating system: it makes the nodes of the pool, as the scenario describes them, and
// starts on them what Gardener's operating system config would. Nodes above the number are removed.
func (c *Cluster) startNodes(ctx context.Context, count int) error {
	if err := c.Scenario.BeforeNodes(ctx, c); err != nil {
		return err
	}

	for number := count + 1; number <= maxNodes; number++ {
		if err := c.RemoveNode(ctx, NodeName(number)); err != nil {
			return err
		}
	}

	group, groupCtx := errgroup.WithContext(ctx)

	for number := 1; number <= count; number++ {
		node, err := c.node(ctx, number)
		if err != nil {
			return err
		}

		group.Go(func() error { return c.machine.StartShootNode(groupCtx, node) })
	}

	return group.Wait()
}

func (c *Cluster) node(ctx context.Context, number int) (Node, error) {
	name := NodeName(number)

	stands, err := c.Scenario.Machine(c, number)
	if err != nil {
		return Node{}, fmt.Errorf("machine of node %s: %w", name, err)
	}

	stands.Name = name
	stands.Labels = c.nodeLabels(name, stands.Labels)

	dns, err := c.dnsAddresses()
	if err != nil {
		return Node{}, err
	}

	kubeconfig, err := c.clientKubeconfig(ctx, "landscape-node-"+name, nodeUserPrefix+name, user.NodesGroup)
	if err != nil {
		return Node{}, err
	}

	clientCA, err := c.caBundle(constants.SecretNameCAKubelet)
	if err != nil {
		return Node{}, err
	}

	serving, err := c.certificate(ctx, constants.SecretNameCAKubelet, &secretsutils.CertificateSecretConfig{
		Name:        "landscape-kubelet-" + name,
		CommonName:  nodeUserPrefix + name,
		DNSNames:    []string{name},
		IPAddresses: addressesOf(stands.Addresses),
		CertType:    secretsutils.ServerCert,
	})
	if err != nil {
		return Node{}, err
	}

	return Node{
		Machine:    stands,
		DNS:        dns,
		Kubeconfig: kubeconfig,
		ClientCA:   clientCA,
		Serving:    serving,
		Taints:     criticalTaint + "=:NoSchedule",
	}, nil
}

// nodeLabels are those of Gardener's nodes, and the scenario's.
func (c *Cluster) nodeLabels(name string, more map[string]string) map[string]string {
	labels := map[string]string{
		constants.LabelWorkerPool:                          c.Shoot.Spec.Provider.Workers[0].Name,
		constants.LabelWorkerPoolSystemComponents:          "true",
		constants.LabelWorkerKubernetesVersion:             kubernetesVersion,
		"networking.gardener.cloud/node-local-dns-enabled": "false",
		"landscape.example/node":                           name,
	}
	maps.Copy(labels, more)

	return labels
}

func addressesOf(prefixes []netip.Prefix) []net.IP {
	addresses := make([]net.IP, 0, len(prefixes))
	for _, prefix := range prefixes {
		addresses = append(addresses, prefix.Addr().AsSlice())
	}

	return addresses
}

// startKubeProxies runs kube-proxy on every node with the configuration that is in the Shoot.
func (c *Cluster) startKubeProxies(ctx context.Context, count int) error {
	kubeconfig, err := c.clientKubeconfig(ctx, "landscape-kube-proxy", "system:kube-proxy", "system:node-proxier")
	if err != nil {
		return err
	}

	for number := 1; number <= count; number++ {
		name := NodeName(number)

		path, err := c.machine.WriteNodeFile(name, "kube-proxy.kubeconfig", kubeconfig)
		if err != nil {
			return err
		}

		config, err := c.kubeProxyConfig(ctx, name, path)
		if err != nil {
			return err
		}

		if err := c.machine.StartKubeProxy(ctx, name, config); err != nil {
			return err
		}
	}

	return nil
}

// RemoveNode takes a node away as a machine controller does: the machine, its Node object, and the pods that nobody can end any
// more.
func (c *Cluster) RemoveNode(ctx context.Context, name string) error {
	if err := c.machine.RemoveShootNode(ctx, name); err != nil {
		return err
	}

	shoot, err := c.API(ctx)
	if err != nil {
		return err
	}

	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := shoot.Delete(ctx, node); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Node %s: %w", name, err)
	}

	pods := &corev1.PodList{}
	if err := shoot.List(ctx, pods, client.MatchingFields{"spec.nodeName": name}); err != nil {
		return fmt.Errorf("pods of node %s: %w", name, err)
	}

	for i := range pods.Items {
		if err := shoot.Delete(ctx, &pods.Items[i], client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting pod %s of node %s: %w", pods.Items[i].Name, name, err)
		}
	}

	return nil
}

// waitForNodes waits until all nodes are there, ready, and open for pods, and tells the router the way to their prefixes.
func (c *Cluster) waitForNodes(ctx context.Context, count int) error {
	shoot, err := c.API(ctx)
	if err != nil {
		return err
	}

	if err := until(ctx, waiting{
		what:  fmt.Sprintf("%d nodes to be ready", count),
		limit: 3 * time.Minute,
		logs:  c.shootHint("get nodes,pods -A -o wide") + " and " + c.machine.LogDir(),
	}, func(ctx context.Context) error {
		for number := 1; number <= count; number++ {
			node := &corev1.Node{}
			if err := shoot.Get(ctx, client.ObjectKey{Name: NodeName(number)}, node); err != nil {
				return err
			}

			if err := nodeReady(node); err != nil {
				return err
			}
		}

		return nil
	}); err != nil {
		return err
	}

	return c.Scenario.Routes(ctx, c)
}

func nodeReady(node *corev1.Node) error {
	for _, taint := range node.Spec.Taints {
		if taint.Key == criticalTaint {
			return fmt.Errorf("node %s: its critical components are not ready", node.Name)
		}
	}

	if len(node.Spec.PodCIDRs) == 0 {
		return fmt.Errorf("node %s has no pod range", node.Name)
	}

	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		} else if condition.Type == corev1.NodeReady {
			return fmt.Errorf("node %s is not ready: %s", node.Name, condition.Message)
		}
	}

	return fmt.Errorf("node %s has not reported yet", node.Name)
}

// SyncRoutes plays the infrastructure's network: the router knows the way to each node's prefix, and to no prefix else.
func (c *Cluster) SyncRoutes(ctx context.Context) error {
	shoot, err := c.API(ctx)
	if err != nil {
		return err
	}

	nodes := &corev1.NodeList{}
	if err := shoot.List(ctx, nodes); err != nil {
		return fmt.Errorf("nodes of %s: %w", c.Namespace, err)
	}

	bits, err := c.nodePrefixLength(ctx)
	if err != nil {
		return err
	}

	routes := map[netip.Prefix]netip.Addr{}

	for i := range nodes.Items {
		for _, text := range nodes.Items[i].Spec.PodCIDRs {
			pods, err := netip.ParsePrefix(text)
			if err != nil {
				return fmt.Errorf("pod range of node %s: %w", nodes.Items[i].Name, err)
			}

			via, err := internalIP(&nodes.Items[i], pods.Addr().Is6())
			if err != nil {
				return err
			}

			prefix := pods
			if pods.Addr().Is6() && bits > 0 && bits < pods.Bits() {
				prefix = netip.PrefixFrom(pods.Addr(), bits).Masked()
			}

			routes[prefix] = via
		}
	}

	return c.machine.SetShootRoutes(ctx, routes)
}

func internalIP(node *corev1.Node, six bool) (netip.Addr, error) {
	for _, address := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(address.Address); err == nil && address.Type == corev1.NodeInternalIP && ip.Is6() == six {
			return ip, nil
		}
	}

	return netip.Addr{}, fmt.Errorf("node %s has no address of the family of its pods", node.Name)
}

// API is an administrator's client of the Shoot.
func (c *Cluster) API(ctx context.Context) (client.Client, error) {
	config, err := c.ShootConfig(ctx)
	if err != nil {
		return nil, err
	}

	shoot, err := client.New(config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", c.Namespace, err)
	}

	return shoot, nil
}

func (c *Cluster) shootHint(args string) string {
	return fmt.Sprintf("`go run ./test/landscape kubectl shoot %s`", args)
}
