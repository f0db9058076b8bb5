// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package clusterapi

import (
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds, as the in-cluster provider v1.1.0 has them.
var (
	claimKind   = schema.GroupVersionKind{Group: group, Version: "v1beta2", Kind: "IPAddressClaim"}
	addressKind = schema.GroupVersionKind{Group: group, Version: "v1beta2", Kind: "IPAddress"}
)

const (
	group       = "ipam.cluster.x-k8s.io"
	poolVersion = "v1alpha2"
	// poolLength is what a pool gives that does not say what it gives.
	poolLength = 64
)

// What follows is the part of Cluster API's types that matters here; its module would bring its whole world along.

type poolRef struct {
	APIGroup string `json:"apiGroup"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
}

type named struct {
	Name string `json:"name,omitempty"`
}

type claim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              claimSpec   `json:"spec"`
	Status            claimStatus `json:"status,omitzero"`
}

type claimSpec struct {
	PoolRef poolRef `json:"poolRef"`
}

type claimStatus struct {
	AddressRef named `json:"addressRef,omitzero"`
}

type address struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              addressSpec `json:"spec"`
}

type addressSpec struct {
	ClaimRef named   `json:"claimRef"`
	PoolRef  poolRef `json:"poolRef"`
	Address  string  `json:"address"`
	Prefix   int32   `json:"prefix"`
}

// prefix that the address stands for.
func (a address) prefix() (netip.Prefix, error) {
	p, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", a.Spec.Address, a.Spec.Prefix))
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("IPAddress %s/%s: %w", a.Namespace, a.Name, err)
	}
	return p.Masked(), nil
}

type pool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              poolSpec   `json:"spec"`
	Status            poolStatus `json:"status,omitzero"`
}

type poolSpec struct {
	Prefixes               []string `json:"prefixes"`
	AllocationPrefixLength int      `json:"allocationPrefixLength,omitempty"`
	ExcludedPrefixes       []string `json:"excludedPrefixes,omitempty"`
}

type poolStatus struct {
	// Addresses are the numbers of prefixes of the one length, capped at the greatest int.
	Addresses *poolAddresses `json:"ipAddresses,omitempty"`
}

type poolAddresses struct {
	Total int64 `json:"total"`
	Used  int64 `json:"used"`
	Free  int64 `json:"free"`
}

func (p pool) bits() int {
	if p.Spec.AllocationPrefixLength == 0 {
		return poolLength
	}
	return p.Spec.AllocationPrefixLength
}

func read[T any](from *unstructured.Unstructured) (T, error) {
	var to T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, &to); err != nil {
		return to, fmt.Errorf("reading %s %s: %w", from.GetKind(), from.GetName(), err)
	}
	return to, nil
}

func write(from any, kind schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(from)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", kind.Kind, err)
	}
	// The provider owns the status, and the API server the time of creation.
	delete(content, "status")
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kind)
	return u, nil
}
