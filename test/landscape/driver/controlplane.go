// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/component/etcd/etcd"
	kubeapiserver "github.com/gardener/gardener/pkg/component/kubernetes/apiserver"
	kubecontrollermanager "github.com/gardener/gardener/pkg/component/kubernetes/controllermanager"
	"github.com/gardener/gardener/pkg/component/kubernetes/scheduler"
	"github.com/gardener/gardener/pkg/component/shared"
	kubernetesutils "github.com/gardener/gardener/pkg/utils/kubernetes"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kubernetesRelease is kubernetesVersion as Gardener's components want it.
var kubernetesRelease = semver.MustParse(kubernetesVersion)

// deployEtcd stands in for etcd-druid.
func (c *Cluster) deployEtcd(ctx context.Context) error {
	var names []string
	for _, service := range []string{"etcd-main-client", "etcd-events-client"} {
		names = append(names, kubernetesutils.DNSNamesForService(service, c.Namespace)...)
	}

	_, server, _, err := etcd.GenerateServerAndClientCertificates(ctx, c.secrets, "main", names, nil)
	if err != nil {
		return fmt.Errorf("certificates of etcd in %s: %w", c.Namespace, err)
	}

	ca, found := c.secrets.Get(constants.SecretNameCAETCD)
	if !found {
		return fmt.Errorf("certificate authority of etcd in %s is not there", c.Namespace)
	}

	manifest, err := render("etcd.yaml", map[string]string{
		"Namespace":    c.Namespace,
		"Image":        c.machine.Image("etcd"),
		"ShootUID":     string(c.Shoot.Status.UID),
		"CASecret":     ca.Name,
		"ServerSecret": server.Name,
		"Replicas":     strconv.Itoa(int(c.replicas())),
	})
	if err != nil {
		return err
	}

	return applyManifest(ctx, c.seed.Client(), manifest)
}

// replicas of the control plane's components: none while the Shoot hibernates.
func (c *Cluster) replicas() int32 {
	if c.hibernated() {
		return 0
	}

	return 1
}

func (c *Cluster) hibernated() bool {
	hibernation := c.Shoot.Spec.Hibernation

	return hibernation != nil && hibernation.Enabled != nil && *hibernation.Enabled
}

// expose makes the Services by which the API server is reached: by its name inside the seed, as gardenlet does, and at a fixed
// address from the whole landscape, which is what a load balancer and DNS do elsewhere.
func (c *Cluster) expose(ctx context.Context) error {
	for name, addresses := range map[string][]string{
		constants.DeploymentNameKubeAPIServer: nil,
		"landscape-load-balancer":             {c.machine.ShootAPIAddress().String()},
	} {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.Namespace}}

		if err := c.apply(ctx, service, func() {
			service.Spec.Selector = kubeapiserver.GetLabels()
			service.Spec.ExternalIPs = addresses
			service.Spec.Ports = []corev1.ServicePort{{Name: "kube-apiserver", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt32(443)}}
		}); err != nil {
			return err
		}
	}

	return nil
}

// deployKubeAPIServer deploys Gardener's component. There is no VPN: the landscape routes.
func (c *Cluster) deployKubeAPIServer(ctx context.Context) error {
	ranges, err := c.ranges()
	if err != nil {
		return err
	}

	component, err := shared.NewKubeAPIServer(
		ctx, c.seed, c.garden, c.Namespace, c.Shoot.ObjectMeta, kubernetesRelease, kubernetesRelease, c.secrets, "",
		c.Shoot.Spec.Kubernetes.KubeAPIServer,
		kubeapiserver.AutoscalingConfig{
			APIServerResources: requests("50m", "300Mi"),
			Replicas:           ptrTo(c.replicas()),
			MinReplicas:        1,
			MaxReplicas:        1,
		},
		kubeapiserver.VPNConfig{}, constants.PriorityClassNameShootControlPlane500,
		false, false, false, nil, nil, nil, nil,
	)
	if err != nil {
		return fmt.Errorf("kube-apiserver of %s: %w", c.Namespace, err)
	}

	external := c.apiAddress()
	addresses := []net.IP{c.machine.ShootAPIAddress().AsSlice(), c.machine.ShootAPIAddressIPv4().AsSlice()}
	sni := kubeapiserver.SNIConfig{}

	if external != c.machine.ShootAPIAddress() {
		// the address of its pod is of the other family, which it refuses to start with
		sni = kubeapiserver.SNIConfig{Enabled: true, AdvertiseAddress: external.String()}
	}

	for _, services := range ranges.Services {
		first, err := firstAddress(services)
		if err != nil {
			return err
		}

		addresses = append(addresses, first)
	}

	_, seedPods, err := net.ParseCIDR(c.machine.SeedNetworks().Pods.String())
	if err != nil {
		return fmt.Errorf("pods of the seed: %w", err)
	}

	host := net.JoinHostPort(external.String(), "443")

	if err := shared.DeployKubeAPIServer(
		ctx, c.seed.Client(), c.Namespace, component,
		kubeapiserver.ComputeKubeAPIServerServiceAccountConfig(nil, host, ""),
		kubeapiserver.ServerCertificateConfig{ExtraIPAddresses: addresses, ExtraDNSNames: []string{c.Namespace}},
		sni, host,
		ranges.Nodes, ranges.Services, ranges.Pods, seedPods,
		nil, nil, gardencorev1beta1.EncryptionProviderTypeAESCBC, "", c.hibernated(),
	); err != nil {
		return fmt.Errorf("kube-apiserver of %s: %w", c.Namespace, err)
	}

	return nil
}

// firstAddress of a service range is that of the API server's own Service.
func firstAddress(network net.IPNet) (net.IP, error) {
	prefix, err := netip.ParsePrefix(network.String())
	if err != nil {
		return nil, fmt.Errorf("service range %s: %w", network.String(), err)
	}

	return prefix.Addr().Next().AsSlice(), nil
}

// deployControllers deploys Gardener's components for kube-controller-manager and kube-scheduler.
func (c *Cluster) deployControllers(ctx context.Context) error {
	ranges, err := c.ranges()
	if err != nil {
		return err
	}

	manager, err := shared.NewKubeControllerManager(
		c.log, c.seed, c.Namespace, kubernetesRelease, kubernetesRelease, c.secrets, "",
		c.Shoot.Spec.Kubernetes.KubeControllerManager, constants.PriorityClassNameShootControlPlane300,
		false, false, nil, kubecontrollermanager.ControllerWorkers{}, kubecontrollermanager.ControllerSyncPeriods{}, nil,
	)
	if err != nil {
		return fmt.Errorf("kube-controller-manager of %s: %w", c.Namespace, err)
	}

	manager.SetReplicaCount(c.replicas())
	manager.SetServiceNetworks(ranges.Services)
	manager.SetPodNetworks(ranges.Pods)

	if err := manager.Deploy(ctx); err != nil {
		return fmt.Errorf("kube-controller-manager of %s: %w", c.Namespace, err)
	}

	if err := scheduler.New(
		c.seed.Client(), c.Namespace, c.secrets, c.machine.Image("kube-scheduler"), c.replicas(), c.Shoot.Spec.Kubernetes.KubeScheduler,
	).Deploy(ctx); err != nil {
		return fmt.Errorf("kube-scheduler of %s: %w", c.Namespace, err)
	}

	return nil
}

// waitForDeployment waits until the newest pods of a Deployment of the control plane are ready.
func (c *Cluster) waitForDeployment(ctx context.Context, name string, limit time.Duration) error {
	return c.waitFor(ctx, c.Namespace, name, limit)
}

func (d *Driver) waitFor(ctx context.Context, namespace, name string, limit time.Duration) error {
	return until(ctx, waiting{
		what:  fmt.Sprintf("Deployment %s/%s to be ready", namespace, name),
		limit: limit,
		logs:  d.hint(fmt.Sprintf("-n %s describe pods", namespace)) + " and " + d.hint(fmt.Sprintf("-n %s logs deploy/%s", namespace, name)),
	}, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := d.seed.Client().Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, deployment); err != nil {
			return err
		}

		want := int32(1)
		if deployment.Spec.Replicas != nil {
			want = *deployment.Spec.Replicas
		}

		status := deployment.Status
		if status.ObservedGeneration != deployment.Generation || status.UpdatedReplicas != want || status.ReadyReplicas < want || status.Replicas != want {
			return fmt.Errorf("%d of %d pods are ready, %d are up to date%s", status.ReadyReplicas, want, status.UpdatedReplicas, d.troubles(ctx, namespace, name))
		}

		return nil
	})
}

// troubles tells why the pods whose names begin so are not ready, as far as their status says.
func (d *Driver) troubles(ctx context.Context, namespace, name string) string {
	pods := &corev1.PodList{}
	if err := d.seed.Client().List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return ""
	}

	var text strings.Builder

	for _, pod := range pods.Items {
		if !strings.HasPrefix(pod.Name, name) {
			continue
		}

		for _, container := range pod.Status.ContainerStatuses {
			if state := container.State.Waiting; state != nil && state.Reason != "" {
				fmt.Fprintf(&text, "; %s: %s %s", pod.Name, state.Reason, state.Message)
			}
		}

		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Status != corev1.ConditionTrue {
				fmt.Fprintf(&text, "; %s: %s", pod.Name, condition.Message)
			}
		}
	}

	return text.String()
}

func requests(cpu, memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse(memory),
	}}
}
