// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package infrastructure_test

import (
	"encoding/json"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

type (
	networking = extensionsv1alpha1.InfrastructureStatusNetworking
	operation  = gardencorev1beta1.LastOperation
)

const (
	succeeded  = gardencorev1beta1.LastOperationStateSucceeded
	processing = gardencorev1beta1.LastOperationStateProcessing
	failed     = gardencorev1beta1.LastOperationStateError
)

var (
	reconciled = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	demo       = v1alpha1.Ranges{Nodes: new("v6global/64+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/64")}
	dual       = v1alpha1.Ranges{Nodes: new("v4private,v6global/64"), Pods: new("v4private,v6private"), Services: new("v4private,v6global")}
)

func shootOf(t *testing.T, ranges v1alpha1.Ranges, supernet *string, reservations ...v1alpha1.PrefixReservation) infrastructure.Shoot {
	t.Helper()
	return shootWith(t, ranges, supernet, func(*gardencorev1beta1.Shoot) {}, reservations...)
}

func shootWith(
	t *testing.T, ranges v1alpha1.Ranges, supernet *string, change func(*gardencorev1beta1.Shoot), reservations ...v1alpha1.PrefixReservation,
) infrastructure.Shoot {
	t.Helper()
	raw, err := json.Marshal(&v1alpha1.NetworkConfig{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "NetworkConfig"}, Ranges: &ranges, PodSupernet: supernet,
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	shoot := &gardencorev1beta1.Shoot{
		Spec: gardencorev1beta1.ShootSpec{Networking: &gardencorev1beta1.Networking{
			Type: new("ipv6"), ProviderConfig: &runtime.RawExtension{Raw: raw},
		}},
		Status: gardencorev1beta1.ShootStatus{UID: "alive"},
	}
	change(shoot)
	return infrastructure.Of(shoot, nil, reservations)
}

func reservation(name v1alpha1.RangeName, status v1alpha1.PrefixReservationStatus) v1alpha1.PrefixReservation {
	lengths := map[v1alpha1.RangeName][2]int32{"nodes": {64, 64}, "pods": {48, 48}, "services": {64, 112}}[name]
	return v1alpha1.PrefixReservation{
		Spec: v1alpha1.PrefixReservationSpec{
			Range: name, Family: v1alpha1.IPv6, PrefixLength: lengths[0], PublishedLength: lengths[1],
			Owner: v1alpha1.ReservationOwner{ShootUID: "alive"},
		},
		Status: status,
	}
}

func bound(name v1alpha1.RangeName, allocated string) v1alpha1.PrefixReservation {
	return reservation(name, v1alpha1.PrefixReservationStatus{Phase: v1alpha1.PhaseBound, Backend: "pool", Allocated: allocated})
}

func adopted(name v1alpha1.RangeName, allocated string) v1alpha1.PrefixReservation {
	return reservation(name, v1alpha1.PrefixReservationStatus{Phase: v1alpha1.PhaseBound, Backend: "adopted", Allocated: allocated})
}

func unbound(name v1alpha1.RangeName, phase v1alpha1.ReservationPhase, reason, message string) v1alpha1.PrefixReservation {
	return reservation(name, v1alpha1.PrefixReservationStatus{Phase: phase, Conditions: []metav1.Condition{
		{Type: v1alpha1.ConditionBound, Status: metav1.ConditionFalse, Reason: reason, Message: message},
	}})
}

func last(state gardencorev1beta1.LastOperationState, description string) *operation {
	return &operation{Type: gardencorev1beta1.LastOperationTypeReconcile, State: state, Progress: 100, Description: description, LastUpdateTime: reconciled}
}

func TestMutate(t *testing.T) {
	for name, tc := range map[string]struct {
		ranges       v1alpha1.Ranges
		supernet     *string
		reservations []v1alpha1.PrefixReservation
		theirs       *networking
		operation    *operation
		want         *networking
		state        gardencorev1beta1.LastOperationState
		description  string
		codes        []gardencorev1beta1.ErrorCode
	}{
		"all bound: merged and let through": {
			ranges: demo, reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")},
			operation: last(succeeded, "done"), state: succeeded, description: "done",
			want: &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
		},
		"a larger prefix than asked for: the first child is published": {
			ranges: demo, reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/60"), bound("services", "2001:db8:1::/56")},
			operation: last(succeeded, "done"), state: succeeded, description: "done",
			want: &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
		},
		"the provider still works: merged, its words stay": {
			ranges: demo, reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")},
			operation: last(processing, "creating a VPC"), state: processing, description: "creating a VPC",
			want: &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
		},
		"nothing reserved yet": {
			ranges: demo, operation: last(succeeded, "done"), state: processing,
			description: "Waiting for prefix reservations: nodes (IPv6): not reserved yet; pods (IPv6): comes with the nodes range; services (IPv6): not reserved yet",
		},
		"one bound, one that waits: what is known is merged": {
			ranges:    demo,
			operation: last(succeeded, "done"), state: processing,
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), unbound("services", v1alpha1.PhaseAllocating, "Retry", "asking pool: throttled")},
			description:  "Waiting for prefix reservations: services (IPv6): asking pool: throttled",
			want:         &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}},
		},
		"failed: an error with the code that Gardener knows": {
			ranges:    demo,
			operation: last(succeeded, "done"), state: failed,
			reservations: []v1alpha1.PrefixReservation{
				unbound("nodes", v1alpha1.PhaseFailed, "Exhausted", "no room"), unbound("services", v1alpha1.PhaseFailed, "QuotaExceeded", "no quota"),
			},
			description: "Prefix reservation failed: nodes (IPv6): no room; pods (IPv6): comes with the nodes range; services (IPv6): no quota",
			codes:       []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorInfraQuotaExceeded, gardencorev1beta1.ErrorInfraResourcesDepleted},
		},
		"a conflict is retried by Gardener": {
			ranges: demo, operation: last(succeeded, "done"), state: failed,
			reservations: []v1alpha1.PrefixReservation{
				bound("nodes", "2001:db8::/64"), unbound("services", v1alpha1.PhaseFailed, "Conflict", "somebody else holds it"),
			},
			want:        &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}},
			description: "Prefix reservation failed: services (IPv6): somebody else holds it",
			codes:       []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorRetryableConfigurationProblem},
		},
		"the provider failed itself: its words stay": {
			ranges: demo, operation: last(failed, "no credentials"), state: failed, description: "no credentials",
		},
		"held and now bound: let go": {
			ranges: demo, reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")},
			operation: last(processing, "Waiting for prefix reservations: nodes (IPv6): not reserved yet"),
			state:     succeeded, description: "The infrastructure is reconciled and the prefixes are reserved",
			want: &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
		},
		"held as waiting, now failed": {
			ranges: demo, reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), unbound("services", v1alpha1.PhaseFailed, "Invalid", "no pool fits")},
			operation: last(processing, "Waiting for prefix reservations: services (IPv6): not reserved yet"),
			state:     failed, description: "Prefix reservation failed: services (IPv6): no pool fits",
			codes: []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorConfigurationProblem},
			want:  &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}},
		},
		"never a second CIDR of a family, the primary family first": {
			ranges: dual, operation: last(succeeded, "done"), state: succeeded, description: "done",
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("pods", "fd00:1::/48"), bound("services", "2001:db8:1::/64")},
			theirs:       &networking{Nodes: []string{"2001:db8:ffff::/64", "10.250.0.0/16"}, Pods: []string{"fd00:2::/48"}, Services: []string{"100.64.0.0/13"}},
			want: &networking{
				Nodes: []string{"10.250.0.0/16", "2001:db8::/64"}, Pods: []string{"100.96.0.0/11", "fd00:1::/48"}, Services: []string{"100.64.0.0/13", "2001:db8:1::/112"},
			},
		},
		"adopted: published whole, pods with it": {
			ranges: demo, operation: last(succeeded, "done"), state: succeeded, description: "done",
			reservations: []v1alpha1.PrefixReservation{adopted("nodes", "2001:db8::/56"), bound("services", "2001:db8:1::/64")},
			theirs:       &networking{Nodes: []string{"2001:db8::/56"}},
			want:         &networking{Nodes: []string{"2001:db8::/56"}, Pods: []string{"2001:db8::/56"}, Services: []string{"2001:db8:1::/112"}},
		},
		"reported but not recorded: kept, and awaited": {
			ranges: demo, operation: last(succeeded, "done"), state: processing,
			reservations: []v1alpha1.PrefixReservation{bound("services", "2001:db8:1::/64")},
			theirs:       &networking{Nodes: []string{"2001:db8::/56"}},
			want:         &networking{Nodes: []string{"2001:db8::/56"}, Services: []string{"2001:db8:1::/112"}},
			description:  "Waiting for prefix reservations: nodes (IPv6): not reserved yet; pods (IPv6): comes with the nodes range",
		},
		"a family that the Shoot does not ask for is the provider's business": {
			ranges: demo, operation: last(succeeded, "done"), state: succeeded, description: "done",
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")},
			theirs:       &networking{Nodes: []string{"10.1.0.0/16"}},
			want:         &networking{Nodes: []string{"2001:db8::/64", "10.1.0.0/16"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
		},
		"a family that the Shoot refuses": {
			ranges:    v1alpha1.Ranges{Nodes: new("v6global/64+prefix/96,nov4"), Pods: new("v6fromNode"), Services: new("v6global/64,nov4")},
			operation: last(succeeded, "done"), state: succeeded, description: "done",
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")},
			theirs:       &networking{Nodes: []string{"10.1.0.0/16"}, Pods: []string{"10.2.0.0/16"}, Services: []string{"10.3.0.0/16"}},
			want:         &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
		},
		"a family of pods and services that the Shoot does not have": {
			ranges: demo, operation: last(succeeded, "done"), state: succeeded, description: "done",
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64"), bound("services", "2001:db8:1::/64")},
			theirs:       &networking{Pods: []string{"10.2.0.0/16"}, Services: []string{"10.3.0.0/16"}},
			want:         &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}, Services: []string{"2001:db8:1::/112"}},
		},
		"own CIDRs need no reservation": {
			ranges: v1alpha1.Ranges{Nodes: new("2001:db8::/56"), Pods: new("fd00:1::/48"), Services: new("fd00:2::/112")},
			theirs: &networking{Nodes: []string{"2001:db8::/56"}}, operation: last(succeeded, "done"), state: succeeded, description: "done",
			want: &networking{Nodes: []string{"2001:db8::/56"}, Pods: []string{"fd00:1::/48"}, Services: []string{"fd00:2::/112"}},
		},
		"custom nodes that nobody reports": {
			ranges:       v1alpha1.Ranges{Nodes: new("custom+prefix/80"), Pods: new("v6fromNode"), Services: new("v6global")},
			reservations: []v1alpha1.PrefixReservation{bound("services", "2001:db8:1::/64")},
			operation:    last(succeeded, "done"), state: processing, want: &networking{Services: []string{"2001:db8:1::/112"}},
			description: "Waiting for prefix reservations: pods (IPv6): the infrastructure provider reports no range, and providerConfig.podSupernet is not set",
		},
		"custom nodes that the provider reports": {
			ranges:       v1alpha1.Ranges{Nodes: new("custom+prefix/80"), Pods: new("v6fromNode"), Services: new("v6global")},
			reservations: []v1alpha1.PrefixReservation{bound("services", "2001:db8:1::/64")},
			theirs:       &networking{Nodes: []string{"2001:db8:a::/56"}},
			operation:    last(succeeded, "done"), state: succeeded, description: "done",
			want: &networking{Nodes: []string{"2001:db8:a::/56"}, Pods: []string{"2001:db8:a::/56"}, Services: []string{"2001:db8:1::/112"}},
		},
		"custom nodes with a supernet": {
			ranges:       v1alpha1.Ranges{Nodes: new("custom+prefix/80"), Pods: new("v6fromNode"), Services: new("v6global")},
			supernet:     new("2001:db8:8000::/40"),
			reservations: []v1alpha1.PrefixReservation{bound("services", "2001:db8:1::/64")},
			operation:    last(succeeded, "done"), state: succeeded, description: "done",
			want: &networking{Pods: []string{"2001:db8:8000::/40"}, Services: []string{"2001:db8:1::/112"}},
		},
		"ranges that are no ranges": {
			ranges: v1alpha1.Ranges{Nodes: new("v6globl")}, operation: last(succeeded, "done"), state: failed,
			description: "Prefix reservation failed: spec.networking.providerConfig.ranges.nodes: ",
			codes:       []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorConfigurationProblem},
		},
		"what was reserved overlaps: nothing of it is published": {
			ranges: demo, operation: last(succeeded, "done"), state: failed,
			reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/60"), bound("services", "2001:db8::/64")},
			description:  "Prefix reservation failed: services: ",
			codes:        []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorConfigurationProblem},
		},
		"the reservations of a former shoot of the name do not count": {
			ranges: demo, operation: last(succeeded, "done"), state: processing,
			reservations: []v1alpha1.PrefixReservation{former(bound("nodes", "2001:db8::/64")), former(bound("services", "2001:db8:1::/64"))},
			description:  "Waiting for prefix reservations: nodes (IPv6): not reserved yet; ",
		},
		"the provider has not said anything yet": {
			ranges: demo, reservations: []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64")},
			want: &networking{Nodes: []string{"2001:db8::/64"}, Pods: []string{"2001:db8::/64"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			shoot := shootOf(t, tc.ranges, tc.supernet, tc.reservations...)
			infra := &extensionsv1alpha1.Infrastructure{}
			infra.Status.Networking, infra.Status.LastOperation = tc.theirs, tc.operation
			infrastructure.Mutate(infra, shoot)

			g.Expect(infra.Status.Networking).To(Equal(tc.want))
			if tc.operation == nil {
				g.Expect(infra.Status.LastOperation).To(BeNil())
			} else {
				g.Expect(infra.Status.LastOperation.State).To(Equal(tc.state))
				g.Expect(infra.Status.LastOperation.Description).To(HavePrefix(tc.description))
				g.Expect(infra.Status.LastOperation.LastUpdateTime).To(Equal(reconciled), "gardenlet compares it with the time of its request")
			}
			if tc.codes == nil {
				g.Expect(infra.Status.LastError).To(BeNil())
			} else {
				g.Expect(infra.Status.LastError.Codes).To(Equal(tc.codes))
				g.Expect(infra.Status.LastError.Description).To(Equal(infra.Status.LastOperation.Description))
			}

			again := infra.DeepCopy()
			infrastructure.Mutate(again, shoot)
			g.Expect(again).To(Equal(infra), "idempotent")
		})
	}
}

func former(r v1alpha1.PrefixReservation) v1alpha1.PrefixReservation {
	r.Spec.Owner.ShootUID = "dead"
	return r
}

func TestMutateLeavesTheLeavingAlone(t *testing.T) {
	for name, leave := range map[string]func(*extensionsv1alpha1.Infrastructure){
		"deleted": func(i *extensionsv1alpha1.Infrastructure) { i.DeletionTimestamp = &reconciled },
		"the delete operation": func(i *extensionsv1alpha1.Infrastructure) {
			i.Status.LastOperation.Type = gardencorev1beta1.LastOperationTypeDelete
		},
		"about to migrate": func(i *extensionsv1alpha1.Infrastructure) {
			i.Annotations = map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationMigrate}
		},
		"migrated": func(i *extensionsv1alpha1.Infrastructure) {
			i.Status.LastOperation.Type = gardencorev1beta1.LastOperationTypeMigrate
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			infra := &extensionsv1alpha1.Infrastructure{}
			infra.Status.LastOperation = last(succeeded, "done")
			leave(infra)
			before := infra.DeepCopy()
			infrastructure.Mutate(infra, shootOf(t, demo, nil))
			g.Expect(infra).To(Equal(before))
		})
	}
	t.Run("one that came back is held again", func(t *testing.T) {
		g := NewWithT(t)
		infra := &extensionsv1alpha1.Infrastructure{}
		infra.Annotations = map[string]string{v1beta1constants.GardenerOperation: v1beta1constants.GardenerOperationRestore}
		infra.Status.LastOperation = last(succeeded, "done")
		infra.Status.LastOperation.Type = gardencorev1beta1.LastOperationTypeMigrate
		infrastructure.Mutate(infra, shootOf(t, demo, nil))
		g.Expect(infrastructure.Held(infra)).To(BeTrue())
	})
}

func TestOurErrorGoesWhenTheProviderWorksAgain(t *testing.T) {
	g := NewWithT(t)
	shoot := shootOf(t, demo, nil, unbound("nodes", v1alpha1.PhaseFailed, "Exhausted", "no room"))
	infra := &extensionsv1alpha1.Infrastructure{}
	infra.Status.LastOperation = last(succeeded, "done")
	infrastructure.Mutate(infra, shoot)
	g.Expect(infra.Status.LastError).NotTo(BeNil())
	infra.Status.LastOperation = last(processing, "reconciling")
	infrastructure.Mutate(infra, shoot)
	g.Expect(infra.Status.LastError).To(BeNil())

	infra.Status.LastError = &gardencorev1beta1.LastError{Description: "the provider's own"}
	infrastructure.Mutate(infra, shoot)
	g.Expect(infra.Status.LastError.Description).To(Equal("the provider's own"))
}

// gardenlet puts nodesCIDR before networking.nodes and drops only what is equal.
func TestMutateMindsTheOlderFieldNodesCIDR(t *testing.T) {
	for name, tc := range map[string]struct {
		ranges           v1alpha1.Ranges
		reservations     []v1alpha1.PrefixReservation
		older, wantOlder string
		want             []string
	}{
		"the same family is overruled":   {demo, []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64")}, "2001:db8:ffff::/64", "2001:db8::/64", []string{"2001:db8::/64"}},
		"the other family comes second":  {demo, []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64")}, "10.1.0.0/16", "2001:db8::/64", []string{"2001:db8::/64", "10.1.0.0/16"}},
		"or first, if it is the primary": {dual, []v1alpha1.PrefixReservation{bound("nodes", "2001:db8::/64")}, "10.250.0.0/16", "10.250.0.0/16", []string{"10.250.0.0/16", "2001:db8::/64"}},
		"custom nodes": {v1alpha1.Ranges{Nodes: new("custom+prefix/80"), Pods: new("v6fromNode"), Services: new("v6global")}, nil,
			"2001:db8:a::/56", "2001:db8:a::/56", []string{"2001:db8:a::/56"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			infra := &extensionsv1alpha1.Infrastructure{}
			infra.Status.NodesCIDR = &tc.older
			infrastructure.Mutate(infra, shootOf(t, tc.ranges, nil, tc.reservations...))
			g.Expect(*infra.Status.NodesCIDR).To(Equal(tc.wantOlder))
			g.Expect(infra.Status.Networking.Nodes).To(Equal(tc.want))
		})
	}
}

func TestMutateNotesWhatItReplaces(t *testing.T) {
	g := NewWithT(t)
	infra := &extensionsv1alpha1.Infrastructure{}
	infra.Status.Networking = &networking{Nodes: []string{"2001:db8:ffff::/64"}}
	notes := infrastructure.Mutate(infra, shootOf(t, demo, nil, bound("nodes", "2001:db8::/64")))
	g.Expect(notes).To(Equal([]string{"The provider reports 2001:db8:ffff::/64 for nodes; what is published is 2001:db8::/64"}))
}
