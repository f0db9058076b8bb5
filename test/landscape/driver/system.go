// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	gardencore "github.com/gardener/gardener/pkg/apis/core"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/component/kubernetes/proxy"
	"github.com/gardener/gardener/pkg/component/networking/coredns"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	kubeproxyconfigv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
)

// dnsOffset is which address of the services range Gardener gives to the cluster's DNS.
const dnsOffset = 10

// dnsAddresses are those of the Shoot's DNS Service, one a family.
func (c *Cluster) dnsAddresses() ([]netip.Addr, error) {
	ranges, err := c.ranges()
	if err != nil {
		return nil, err
	}

	var addresses []netip.Addr

	for _, services := range ranges.Services {
		prefix, err := netip.ParsePrefix(services.String())
		if err != nil {
			return nil, fmt.Errorf("services range of %s: %w", c.Namespace, err)
		}

		addresses = append(addresses, addressOf(prefix, dnsOffset).Addr())
	}

	return addresses, nil
}

// deployKubeProxy deploys Gardener's component without a pool: that is kube-proxy's configuration and account, but no DaemonSet,
// because on the landscape kube-proxy is a process of the node.
func (c *Cluster) deployKubeProxy(ctx context.Context) error {
	ranges, err := c.ranges()
	if err != nil {
		return err
	}

	kubeconfig, err := c.clientKubeconfig(ctx, "landscape-kube-proxy", "system:kube-proxy", "system:node-proxier")
	if err != nil {
		return err
	}

	mode := gardencorev1beta1.ProxyModeIPTables
	if config := c.Shoot.Spec.Kubernetes.KubeProxy; config != nil && config.Mode != nil {
		mode = *config.Mode
	}

	component := proxy.New(c.seed.Client(), c.Namespace, proxy.Values{ProxyMode: gardencore.ProxyMode(mode)})
	component.SetKubeconfig(kubeconfig)
	component.SetPodNetworkCIDRs(ranges.Pods)

	if err := component.Deploy(ctx); err != nil {
		return fmt.Errorf("kube-proxy of %s: %w", c.Namespace, err)
	}

	return nil
}

// kubeProxyConfig reads kube-proxy's configuration out of the Shoot, where gardener-resource-manager has put what the
// extension's webhook made of it, and adds what is the node's: its name, the path of the kubeconfig, and no connection
// tracking limits, which only the machine's first network namespace can set.
func (c *Cluster) kubeProxyConfig(ctx context.Context, node, kubeconfig string) ([]byte, error) {
	shoot, err := c.API(ctx)
	if err != nil {
		return nil, err
	}

	var text string

	if err := until(ctx, waiting{
		what:  "kube-proxy's configuration in the Shoot",
		limit: time.Minute,
		logs:  c.hint("-n " + c.Namespace + " get managedresources"),
	}, func(ctx context.Context) error {
		maps := &corev1.ConfigMapList{}
		if err := shoot.List(ctx, maps, client.InNamespace(metav1.NamespaceSystem)); err != nil {
			return err
		}

		newest := metav1.Time{}

		for _, item := range maps.Items {
			if strings.HasPrefix(item.Name, "kube-proxy-config") && item.Data["config.yaml"] != "" && !item.CreationTimestamp.Before(&newest) {
				text, newest = item.Data["config.yaml"], item.CreationTimestamp
			}
		}

		if text == "" {
			return fmt.Errorf("no ConfigMap kube-proxy-config* in kube-system")
		}

		return nil
	}); err != nil {
		return nil, err
	}

	config := &kubeproxyconfigv1alpha1.KubeProxyConfiguration{}
	if err := yaml.UnmarshalStrict([]byte(text), config); err != nil {
		return nil, fmt.Errorf("kube-proxy's configuration: %w", err)
	}

	config.HostnameOverride = node
	config.ClientConnection.Kubeconfig = kubeconfig
	config.BindAddress = "::"
	config.HealthzBindAddress = "[::]:10256"
	config.MetricsBindAddress = "[::]:10249"
	config.Conntrack.MaxPerCore = ptrTo[int32](0)
	config.Conntrack.Min = ptrTo[int32](0)
	config.Conntrack.TCPEstablishedTimeout = &metav1.Duration{}
	config.Conntrack.TCPCloseWaitTimeout = &metav1.Duration{}

	return yaml.Marshal(config)
}

// deployCoreDNS deploys Gardener's component.
func (c *Cluster) deployCoreDNS(ctx context.Context) error {
	ranges, err := c.ranges()
	if err != nil {
		return err
	}

	addresses, err := c.dnsAddresses()
	if err != nil {
		return err
	}

	var clusterIPs []net.IP
	for _, address := range addresses {
		clusterIPs = append(clusterIPs, address.AsSlice())
	}

	component := coredns.New(c.seed.Client(), c.Namespace, coredns.Values{
		ClusterDomain:   gardencorev1beta1.DefaultDomain,
		Image:           c.machine.Image("coredns"),
		AutoscalingMode: gardencorev1beta1.CoreDNSAutoscalingModeHorizontal,
		Zones:           1,
	})
	component.SetClusterIPs(clusterIPs)
	component.SetNodeNetworkCIDRs(ranges.Nodes)
	component.SetPodNetworkCIDRs(ranges.Pods)
	component.SetIPFamilies(c.Shoot.Spec.Networking.IPFamilies)

	if err := component.Deploy(ctx); err != nil {
		return fmt.Errorf("CoreDNS of %s: %w", c.Namespace, err)
	}

	return nil
}

// waitForCoreDNS waits until the Shoot's names are resolved. Gardener's component is not asked before it ran for half a minute.
func (c *Cluster) waitForCoreDNS(ctx context.Context) error {
	shoot, err := c.API(ctx)
	if err != nil {
		return err
	}

	return until(ctx, waiting{
		what:  "CoreDNS in the Shoot",
		limit: 3 * time.Minute,
		logs:  c.shootHint("-n kube-system describe pods -l k8s-app=kube-dns"),
	}, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := shoot.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: coredns.DeploymentName}, deployment); err != nil {
			return err
		}

		if deployment.Status.ReadyReplicas == 0 || deployment.Status.UnavailableReplicas > 0 {
			return fmt.Errorf("%d pods are ready, %d are not", deployment.Status.ReadyReplicas, deployment.Status.UnavailableReplicas)
		}

		return nil
	})
}
