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

	appsv1 "k8s.io/api/apps/v1"
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

// waitForShop waits until the shop has a ready pod on so many nodes. A shop whose pods are not spread is rolled out again: a scheduler
// moves no pod that runs.
func (r *rack) waitForShop(ctx context.Context, nodes int) error {
	api, err := r.API(ctx)
	if err != nil {
		return err
	}

	begin := time.Now()

	return driver.Eventually(ctx, fmt.Sprintf("pods of the shop on %d nodes", nodes), 3*time.Minute, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := api.Get(ctx, client.ObjectKey{Namespace: driver.WorkloadNamespace, Name: shop}, deployment); err != nil {
			return err
		}

		pods, err := r.shopPods(ctx)
		if err != nil || len(pods) == nodes {
			return err
		}

		if status := deployment.Status; status.ReadyReplicas == status.Replicas && time.Since(begin) > 5*time.Second {
			begin = time.Now()
			patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"landscape.example/again":%q}}}}}`, begin)

			if err := api.Patch(ctx, deployment, client.RawPatch("application/strategic-merge-patch+json", []byte(patch))); err != nil {
				return err
			}
		}

		return fmt.Errorf("they are on %q", slices.Sorted(maps.Keys(pods)))
	})
}

// shopAddress is the address of the load balancer.
func (r *rack) shopAddress(ctx context.Context) (netip.Addr, error) {
	var address netip.Addr

	err := driver.Eventually(ctx, "an address for the load balancer of the shop", soon, func(ctx context.Context) error {
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

// expectOwnAddress calls the shop from outside and expects its pods, all of them, to have seen the client's own address.
func (r *rack) expectOwnAddress(ctx context.Context, address netip.Addr) (string, error) {
	if err := r.waitForRoute(ctx, netip.PrefixFrom(address, address.BitLen()), r.Scenario.Nodes); err != nil {
		return "", err
	}

	callers, err := r.callMany(ctx, address.String(), "clientip")
	if err != nil {
		return "", err
	}

	if own := r.OutsideAddress().String(); len(callers) != 1 || callers[own] != manyCalls {
		return "", fmt.Errorf("the shop saw callers %v at %s, want the client's own address, %s, alone", callers, address, own)
	}

	servers, err := r.callMany(ctx, address.String(), "hostname")
	if err != nil {
		return "", err
	}

	if len(servers) != r.Scenario.Nodes {
		return "", fmt.Errorf("calls to %s were answered by %v, want a pod on every node", address, servers)
	}

	return fmt.Sprintf("%s: %d of %d saw the client's own; by pod %s", address, manyCalls, manyCalls, spread(servers)), nil
}

func (r *rack) checkLoadBalancer(ctx context.Context) (string, error) {
	address, err := r.shopAddress(ctx)
	if err != nil {
		return "", err
	}

	return r.expectOwnAddress(ctx, address)
}

func (r *rack) checkNearClusterIP(ctx context.Context) (string, error) {
	service, err := r.service(ctx, driver.WorkloadNamespace, shopNear)
	if err != nil {
		return "", err
	}

	address, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil {
		return "", fmt.Errorf("cluster IP of Service %s: %w", shopNear, err)
	}

	return r.expectOwnAddress(ctx, address)
}
