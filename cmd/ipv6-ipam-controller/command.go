// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/version"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/ipamcontroller"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbcontroller"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

const long = `ipv6-ipam-controller gives every node of a shoot its pod ranges.

It runs beside the shoot's control plane and talks to the shoot's API server only. For every Node it cuts a prefix from the
pool that its configuration names, or checks the one that the node's agent reports in the annotation
ipv6.networking.extensions.gardener.cloud/reported-node-prefix, and writes the part that is for pods to spec.podCIDRs, once; the
prefix itself goes to the annotation ipv6.networking.extensions.gardener.cloud/node-prefix. No two nodes get prefixes that overlap. The prefix of a deleted
node stays unused for --quarantine. Ranges that somebody else wrote are never changed; wrong ones are reported by
an event on the Node, the Node's condition PodCIDRsAssigned and the metric ipv6_ipam_nodes.

kube-controller-manager must run with --allocate-node-cidrs=false.

What it decided before it wrote it to a node is kept in the ConfigMap ipv6-ipam-journal of --namespace.

If its configuration names pools for load balancers, it gives the Services of type LoadBalancer addresses out of them, written to
their status, and keeps what it decided in the ConfigMap ipv6-load-balancer-journal.`

type options struct {
	kubeconfig, config, namespace  string
	metricsAddress, healthAddress  string
	quarantine                     time.Duration
	leaderElect                    bool
	leaseDuration, renew, retryAge time.Duration
	qps                            float32
	burst                          int
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "ipv6-ipam-controller --kubeconfig FILE --config FILE",
		Short:         "Gives every node of a shoot its pod ranges",
		Long:          long,
		Version:       version.Get().GitVersion,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the shoot (default: $KUBECONFIG, else the pod's own cluster)")
	f.StringVar(&o.config, "config", "", "file with the IPAMConfiguration (required)")
	f.StringVar(&o.namespace, "namespace", "kube-system", "namespace in the shoot for the journal and the leader's Lease")
	f.DurationVar(&o.quarantine, "quarantine", ipamcontroller.DefaultQuarantine, "how long the prefix of a deleted node is kept from other nodes")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 for none")
	f.StringVar(&o.healthAddress, "health-bind-address", ":8081", "address of /healthz and /readyz; 0 for none")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "let one replica work at a time; two at a time would be safe, but slower")
	f.DurationVar(&o.leaseDuration, "leader-elect-lease-duration", 15*time.Second, "how long other replicas wait for a leader that is silent")
	f.DurationVar(&o.renew, "leader-elect-renew-deadline", 10*time.Second, "how long a leader tries to renew before it gives up")
	f.DurationVar(&o.retryAge, "leader-elect-retry-period", 2*time.Second, "time between attempts to become or stay the leader")
	f.Float32Var(&o.qps, "kube-api-qps", 50, "requests a second to the shoot's API server")
	f.IntVar(&o.burst, "kube-api-burst", 100, "requests at once to the shoot's API server")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag was defined a few lines above
	}
	return cmd
}

func (o options) run(ctx context.Context) error {
	ctrl.SetLogger(zap.New())
	data, err := os.ReadFile(o.config)
	if err != nil {
		return fmt.Errorf("read --config: %w", err)
	}
	config, err := nodeprefix.Decode(data)
	if err != nil {
		return fmt.Errorf("%s: %w", o.config, err)
	}
	restConfig, err := o.restConfig()
	if err != nil {
		return fmt.Errorf("read --kubeconfig: %w", err)
	}
	mgr, err := o.manager(restConfig)
	if err != nil {
		return err
	}
	if len(config.Ranges) > 0 {
		err = ipamcontroller.Add(ctx, mgr, ipamcontroller.Options{Config: config, Namespace: o.namespace, Quarantine: o.quarantine})
		if err != nil {
			return err
		}
	}
	if len(config.LoadBalancerPools) > 0 {
		err = lbcontroller.Add(ctx, mgr, lbcontroller.Options{Pools: config.LoadBalancerPools, ClassOnly: config.LoadBalancerClassOnly, Namespace: o.namespace})
		if err != nil {
			return err
		}
	}
	return mgr.Start(ctx)
}

func (o options) restConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	c.QPS, c.Burst = o.qps, o.burst
	c.UserAgent = "ipv6-ipam-controller/" + version.Get().GitVersion
	return c, nil
}

func (o options) manager(restConfig *rest.Config) (ctrl.Manager, error) {
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	mgr, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: s,
		Cache: cache.Options{
			ByObject:                    map[client.Object]cache.ByObject{&corev1.Node{}: {}, &corev1.Service{}: {Transform: cache.TransformStripManagedFields()}},
			ReaderFailOnMissingInformer: true,
		},
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              ipamcontroller.Name,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.leaseDuration,
		RenewDeadline:                 &o.renew,
		RetryPeriod:                   &o.retryAge,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the shoot: %w", err)
	}
	for name, add := range map[string]func(string, healthz.Checker) error{"healthz": mgr.AddHealthzCheck, "readyz": mgr.AddReadyzCheck} {
		if err := add(name, healthz.Ping); err != nil {
			return nil, fmt.Errorf("add the %s check: %w", name, err)
		}
	}
	return mgr, nil
}
