// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RangeName names one of a Shoot's three ranges.
// +kubebuilder:validation:Enum=nodes;pods;services
type RangeName string

// The three ranges of a Shoot.
const (
	RangeNodes    RangeName = "nodes"
	RangePods     RangeName = "pods"
	RangeServices RangeName = "services"
)

// IPFamily is IPv4 or IPv6.
// +kubebuilder:validation:Enum=IPv4;IPv6
type IPFamily string

// The IP families.
const (
	IPv4 IPFamily = "IPv4"
	IPv6 IPFamily = "IPv6"
)

// Scope says what kind of addresses a reservation is for.
// +kubebuilder:validation:Enum=Global;Private
type Scope string

const (
	// ScopeGlobal asks the IPAM for globally routable addresses (keyword v6global).
	ScopeGlobal Scope = "Global"
	// ScopePrivate asks for a unique local prefix, RFC 4193 (keyword v6private).
	ScopePrivate Scope = "Private"
)

// ReservationPhase is where a reservation stands in the protocol of docs/data-path.md.
// +kubebuilder:validation:Enum=Pending;Allocating;Bound;Releasing;Quarantined;Failed
type ReservationPhase string

const (
	// PhasePending means that the intent is recorded, nothing was asked of the backend yet.
	PhasePending ReservationPhase = "Pending"
	// PhaseAllocating means that a call that may have allocated is, or was, under way.
	PhaseAllocating ReservationPhase = "Allocating"
	// PhaseBound means that the prefix is held; allocated and published never change again.
	PhaseBound ReservationPhase = "Bound"
	// PhaseReleasing means that the prefix is being given back.
	PhaseReleasing ReservationPhase = "Releasing"
	// PhaseQuarantined means that the prefix was given up by its shoot and is kept from reuse until status.quarantinedUntil. Such objects
	// live in the extension's own namespace, because the shoot's goes away.
	PhaseQuarantined ReservationPhase = "Quarantined"
	// PhaseFailed means that no retry can help until somebody changes something; the condition Bound says what.
	PhaseFailed ReservationPhase = "Failed"
)

// ConditionBound is the type of the condition that tells whether the prefix is held, and if not, why.
const ConditionBound = "Bound"

// ConditionHeld is the type of the condition that tells whether the backend, asked again, still holds what is bound.
const ConditionHeld = "Held"

// AnnotationMoved marks a reservation that is being let go, so that its tombstone is not taken for that of a shoot which came back.
const AnnotationMoved = "ipv6.networking.extensions.gardener.cloud/moved"

// TombstonePrefix begins the names of the PrefixReservations that remember, in the extension's own namespace, what was released or
// left behind.
const TombstonePrefix = "released-"

// FinalizerReservation keeps a PrefixReservation until its prefix was given back.
const FinalizerReservation = "ipv6.networking.extensions.gardener.cloud/reservation"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=pfxres,categories={all}
// +kubebuilder:metadata:annotations="resources.gardener.cloud/keep-object=true"
// +kubebuilder:printcolumn:name="Range",type=string,JSONPath=`.spec.range`
// +kubebuilder:printcolumn:name="Scope",type=string,JSONPath=`.spec.scope`
// +kubebuilder:printcolumn:name="Length",type=integer,JSONPath=`.spec.prefixLength`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Allocated",type=string,JSONPath=`.status.allocated`
// +kubebuilder:printcolumn:name="Published",type=string,JSONPath=`.status.published`
// +kubebuilder:printcolumn:name="Backend",type=string,JSONPath=`.status.backend`,priority=1
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.spec.owner.shoot`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// PrefixReservation is the intent to hold one prefix for one range of one shoot, and what became of it. Its name is the
// range and the family ("nodes-ipv6"); it lives in the shoot's namespace in the seed.
type PrefixReservation struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the intent; it is immutable.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable: a reservation is never resized or moved, make another one"
	Spec PrefixReservationSpec `json:"spec"`
	// Status is what became of it.
	// +optional
	Status PrefixReservationStatus `json:"status,omitempty"`
}

// PrefixReservationSpec is the intent to hold a prefix.
// +kubebuilder:validation:XValidation:rule="self.publishedLength >= self.prefixLength",message="publishedLength must be at least prefixLength: what is published is a part of what is reserved"
// +kubebuilder:validation:XValidation:rule="self.family == 'IPv6' || self.prefixLength <= 32",message="prefixLength must be at most 32 for IPv4"
// +kubebuilder:validation:XValidation:rule="self.family == 'IPv6' || self.publishedLength <= 32",message="publishedLength must be at most 32 for IPv4"
// +kubebuilder:validation:XValidation:rule="self.scope != 'Private' || !has(self.backend)",message="backend must be absent for scope Private: such prefixes are drawn at random, by us"
// +kubebuilder:validation:XValidation:rule="self.scope != 'Private' || !has(self.pool)",message="pool must be absent for scope Private: such prefixes are drawn at random, from no pool"
type PrefixReservationSpec struct {
	// Range that the prefix is for.
	Range RangeName `json:"range"`
	// Family of the prefix.
	Family IPFamily `json:"family"`
	// Scope of the addresses.
	Scope Scope `json:"scope"`
	// PrefixLength is the greatest acceptable length in bits: the prefix is at least this large.
	// +kubebuilder:validation:Minimum=8
	// +kubebuilder:validation:Maximum=120
	PrefixLength int32 `json:"prefixLength"`
	// PublishedLength is the length of the part that is handed to Kubernetes: the first child of this length.
	// +kubebuilder:validation:Minimum=8
	// +kubebuilder:validation:Maximum=128
	PublishedLength int32 `json:"publishedLength"`
	// Backend names the IPAM backend to take it from; empty: any that serves.
	// +kubebuilder:validation:MinLength=1
	// +optional
	Backend string `json:"backend,omitempty"`
	// Pool names the operator's pool to take it from; empty: any that fits.
	// +kubebuilder:validation:MinLength=1
	// +optional
	Pool string `json:"pool,omitempty"`
	// Owner identifies for whom the prefix is held.
	Owner ReservationOwner `json:"owner"`
}

// ReservationOwner identifies the shoot for ever: a shoot that is created again under the same name has another UID.
type ReservationOwner struct {
	// GardenID is the identity of the Gardener installation (garden's cluster identity).
	GardenID string `json:"gardenID"`
	// ShootUID is the Shoot's status.uid, or its metadata.uid.
	// +kubebuilder:validation:MinLength=1
	ShootUID string `json:"shootUID"`
	// Shoot is namespace/name, for people only.
	// +optional
	Shoot string `json:"shoot,omitempty"`
}

// PrefixReservationStatus is what became of the intent.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.phase) || oldSelf.phase != 'Bound' || (has(self.allocated) == has(oldSelf.allocated) && (!has(self.allocated) || self.allocated == oldSelf.allocated) && has(self.published) == has(oldSelf.published) && (!has(self.published) || self.published == oldSelf.published))",message="allocated and published never change once the prefix is bound: nodes, pods and services have addresses from it"
type PrefixReservationStatus struct {
	// Phase is where the reservation stands.
	// +optional
	Phase ReservationPhase `json:"phase,omitempty"`
	// Backend that holds the prefix: pool, ula, adopted or the name of a cloud's IPAM.
	// +optional
	Backend string `json:"backend,omitempty"`
	// ID of the allocation in the backend. For the backend pool it is the pool's name.
	// +optional
	ID string `json:"id,omitempty"`
	// Allocated is the prefix that the backend gave.
	// +optional
	Allocated string `json:"allocated,omitempty"`
	// Published is the part of it that was handed to Kubernetes.
	// +optional
	Published string `json:"published,omitempty"`
	// Attempt counts the allocations started for this owner; it is part of the owner key.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`
	// QuarantinedUntil is set in phase Quarantined.
	// +optional
	QuarantinedUntil *metav1.Time `json:"quarantinedUntil,omitempty"`
	// Conditions tell why the reservation stands where it stands.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// PrefixReservationList is a list of PrefixReservations.
type PrefixReservationList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PrefixReservation `json:"items"`
}
