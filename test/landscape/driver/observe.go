// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	ipv6v1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// Reservation is what a test compares of a PrefixReservation.
type Reservation struct {
	Name                 string
	UID                  types.UID
	Phase                ipv6v1alpha1.ReservationPhase
	Allocated, Published string
}

// Reservations are those of the Shoot, by name.
func (c *Cluster) Reservations(ctx context.Context) ([]Reservation, error) {
	return c.reservations(ctx, c.Namespace)
}

// Quarantined are the prefixes that were given back and are kept from reuse for a while.
func (d *Driver) Quarantined(ctx context.Context) ([]string, error) {
	reservations, err := d.reservations(ctx, ExtensionNamespace)

	prefixes := make([]string, 0, len(reservations))
	for _, reservation := range reservations {
		if reservation.Phase == ipv6v1alpha1.PhaseQuarantined {
			prefixes = append(prefixes, reservation.Allocated)
		}
	}

	return prefixes, err
}

func (d *Driver) reservations(ctx context.Context, namespace string) ([]Reservation, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(ipv6v1alpha1.SchemeGroupVersion.WithKind("PrefixReservationList"))

	if err := d.seed.Client().List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("PrefixReservations in %s: %w", namespace, err)
	}

	reservations := make([]Reservation, 0, len(list.Items))

	for i := range list.Items {
		item := &ipv6v1alpha1.PrefixReservation{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, item); err != nil {
			return nil, fmt.Errorf("PrefixReservation %s: %w", list.Items[i].GetName(), err)
		}

		reservations = append(reservations, Reservation{
			Name: item.Name, UID: item.UID, Phase: item.Status.Phase, Allocated: item.Status.Allocated, Published: item.Status.Published,
		})
	}

	slices.SortFunc(reservations, func(a, b Reservation) int { return strings.Compare(a.Name, b.Name) })

	return reservations, nil
}

// RolloutAgent restarts the agents node by node and waits until all are ready again.
func (c *Cluster) RolloutAgent(ctx context.Context) error {
	shoot, err := c.API(ctx)
	if err != nil {
		return err
	}

	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{"landscape.example/restarted-at": time.Now().Format(time.RFC3339Nano)},
	}}}})
	if err != nil {
		return fmt.Errorf("rollout of the agent: %w", err)
	}

	agent := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "ipv6-agent"}}
	if err := shoot.Patch(ctx, agent, client.RawPatch(types.StrategicMergePatchType, patch)); err != nil {
		return fmt.Errorf("rollout of the agent: %w", err)
	}

	return until(ctx, waiting{
		what:  "the rollout of the agent",
		limit: 5 * time.Minute,
		logs:  c.shootHint("-n kube-system describe ds ipv6-agent"),
	}, func(ctx context.Context) error {
		if err := shoot.Get(ctx, client.ObjectKeyFromObject(agent), agent); err != nil {
			return err
		}

		status := agent.Status
		if status.ObservedGeneration != agent.Generation || status.UpdatedNumberScheduled != status.DesiredNumberScheduled ||
			status.NumberAvailable != status.DesiredNumberScheduled {
			return fmt.Errorf("%d of %d agents are new, %d are available", status.UpdatedNumberScheduled, status.DesiredNumberScheduled, status.NumberAvailable)
		}

		return nil
	})
}

// RestartExtension ends the extension's pods and waits until there are new ones.
func (d *Driver) RestartExtension(ctx context.Context) error {
	selector := client.MatchingLabels{"app.kubernetes.io/name": extensionName}

	if err := d.seed.Client().DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(ExtensionNamespace), selector); err != nil {
		return fmt.Errorf("restart of the extension: %w", err)
	}

	if err := until(ctx, waiting{what: "the end of the extension's pods", limit: time.Minute}, func(ctx context.Context) error {
		pods := &corev1.PodList{}
		if err := d.seed.Client().List(ctx, pods, client.InNamespace(ExtensionNamespace), selector); err != nil {
			return err
		}

		for _, pod := range pods.Items {
			if pod.DeletionTimestamp != nil {
				return fmt.Errorf("pod %s is still there", pod.Name)
			}
		}

		return nil
	}); err != nil {
		return err
	}

	return d.waitFor(ctx, ExtensionNamespace, extensionName, 2*time.Minute)
}
