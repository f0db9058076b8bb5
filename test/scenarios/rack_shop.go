// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
)

const (
	shop     = "shop"
	shopNear = "shop-near"
)

// shopPods are the ready ones that are not told to end, by node.
func (r *rack) shopPods(ctx context.Context) (map[string]corev1.Pod, error) {
	api, err := r.API(ctx)
	if err != nil {
		return nil, err
	}

	list := &corev1.PodList{}
	if err := api.List(ctx, list, client.InNamespace(driver.WorkloadNamespace), client.MatchingLabels{"app": shop}); err != nil {
		return nil, fmt.Errorf("pods of the shop: %w", err)
	}

	pods := map[string]corev1.Pod{}

	for _, pod := range list.Items {
		ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})

		if ready && pod.DeletionTimestamp == nil {
			pods[pod.Spec.NodeName] = pod
		}
	}

	return pods, nil
}

// waitForShop waits until the shop has a ready pod on so many nodes, and no other that still ends.
func (r *rack) waitForShop(ctx context.Context, nodes int) error {
	api, err := r.API(ctx)
	if err != nil {
		return err
	}

	return driver.Await(ctx, fmt.Sprintf("pods of the shop on %d nodes", nodes), 3*time.Minute, func(ctx context.Context) error {
		list := &corev1.PodList{}
		if err := api.List(ctx, list, client.InNamespace(driver.WorkloadNamespace), client.MatchingLabels{"app": shop}); err != nil {
			return err
		}

		pods, err := r.shopPods(ctx)
		if err == nil && (len(pods) != nodes || len(list.Items) != nodes) {
			err = fmt.Errorf("there are %d pods, ready ones are on %q", len(list.Items), slices.Sorted(maps.Keys(pods)))
		}

		return err
	})
}

// shopAddress is the address of the load balancer.
func (r *rack) shopAddress(ctx context.Context) (netip.Addr, error) {
	var address netip.Addr

	err := driver.Await(ctx, "an address for the load balancer of the shop", soon, func(ctx context.Context) error {
		service, err := r.service(ctx, driver.WorkloadNamespace, shop)
		if err != nil {
			return err
		}

		for _, ingress := range service.Status.LoadBalancer.Ingress {
			address, err = netip.ParseAddr(ingress.IP)

			return err
		}

		return fmt.Errorf("its status has none")
	})

	if err == nil && !loadBalancerPool.Contains(address) {
		err = fmt.Errorf("the load balancer's address %s is not out of the pool %s", address, loadBalancerPool)
	}

	return address, err
}

// callShop calls the shop from outside until each of its pods has answered, and expects no node to send a call on to another one's pod:
// that would pass the router. It gives the callers that the pods saw, and how the calls were spread.
func (r *rack) callShop(ctx context.Context, address netip.Addr) (callers, servers map[string]int, err error) {
	if err := r.waitForRoute(ctx, netip.PrefixFrom(address, address.BitLen()), r.Scenario.Nodes); err != nil {
		return nil, nil, err
	}

	packets, err := r.captured(func() (err error) {
		if callers, err = r.callMany(ctx, address.String(), "clientip"); err == nil {
			servers, err = r.callMany(ctx, address.String(), "hostname")
		}

		return err
	})
	if err != nil {
		return nil, nil, err
	}

	if len(servers) != r.Scenario.Nodes {
		return nil, nil, fmt.Errorf("calls to %s were answered by %v, want a pod on every node", address, servers)
	}

	for _, p := range packets {
		if p.SYN && p.DestinationPort == webPort {
			return nil, nil, fmt.Errorf("a call to %s went on to a pod of another node: %s", address, p)
		}
	}

	return callers, servers, nil
}

// checkLoadBalancer expects the shop's pods to see the address of the client outside.
func (r *rack) checkLoadBalancer(ctx context.Context) (string, error) {
	address, err := r.shopAddress(ctx)
	if err != nil {
		return "", err
	}

	callers, servers, err := r.callShop(ctx, address)
	if err != nil {
		return "", err
	}

	if own := r.OutsideAddress().String(); len(callers) != 1 || callers[own] != manyCalls {
		return "", fmt.Errorf("the shop saw callers %v at %s, want the client's own address, %s, alone", callers, address, own)
	}

	return fmt.Sprintf("%s: %d of %d calls bore it; by pod %s", address, manyCalls, manyCalls, spread(servers)), nil
}

// checkNearClusterIP expects calls to end at the node that the router chose. kube-proxy puts the node's address into whatever comes to a
// cluster IP from outside of the cluster, with any policy; only load balancers' and external addresses keep the client's.
func (r *rack) checkNearClusterIP(ctx context.Context) (string, error) {
	service, err := r.service(ctx, driver.WorkloadNamespace, shopNear)
	if err != nil {
		return "", err
	}

	address, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil {
		return "", fmt.Errorf("cluster IP of Service %s: %w", shopNear, err)
	}

	callers, servers, err := r.callShop(ctx, address)
	if err != nil {
		return "", err
	}

	if len(callers) != r.Scenario.Nodes || callers[r.OutsideAddress().String()] != 0 {
		return "", fmt.Errorf("the shop saw callers %v at %s, want the address of every node", callers, address)
	}

	return fmt.Sprintf("%s: %d of %d calls stayed on the node, with its address; by pod %s", address, manyCalls, manyCalls, spread(servers)), nil
}
