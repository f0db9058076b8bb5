// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ironcore

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	groupVersion   = schema.GroupVersion{Group: "ipam.ironcore.dev", Version: "v1alpha1"}
	prefixKind     = groupVersion.WithKind("Prefix")
	allocationKind = groupVersion.WithKind("PrefixAllocation")
)

// allocated is the phase of a Prefix and of a PrefixAllocation that have been served.
const allocated = "Allocated"

// What follows is the part of IronCore's types that matters here; its module would bring its whole world along.

type named struct {
	Name string `json:"name,omitempty"`
}

type prefixObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              prefixSpec   `json:"spec"`
	Status            prefixStatus `json:"status,omitzero"`
}

type prefixSpec struct {
	IPFamily string `json:"ipFamily,omitempty"`
	// Prefix that is wanted, or that the controller has found.
	Prefix       string `json:"prefix,omitempty"`
	PrefixLength int32  `json:"prefixLength,omitempty"`
	// ParentRef names the Prefix that it is a part of; one without is a root.
	ParentRef *named `json:"parentRef,omitempty"`
}

type prefixStatus struct {
	Phase string `json:"phase,omitempty"`
}

// prefixAllocation is what IronCore's controller makes of a Prefix with a parent: the parent's book has one for each part.
type prefixAllocation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              allocationSpec   `json:"spec"`
	Status            allocationStatus `json:"status,omitzero"`
}

type allocationSpec struct {
	PrefixRef *named `json:"prefixRef,omitempty"`
}

type allocationStatus struct {
	Phase  string `json:"phase,omitempty"`
	Prefix string `json:"prefix,omitempty"`
}

func read[T any](from *unstructured.Unstructured) (T, error) {
	var to T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, &to); err != nil {
		return to, fmt.Errorf("reading %s %s: %w", from.GetKind(), from.GetName(), err)
	}
	return to, nil
}
