// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// What we write of why something fails must not wake us: the next try would come at once, past the backoff, and a service whose
// errors bear a number of their own would be asked without a pause.

// beyondConditions lets changes of a PrefixReservation pass that are more than what is said of it.
func beyondConditions() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.DeepCopyObject().(*v1alpha1.PrefixReservation)
		after, also := e.ObjectNew.DeepCopyObject().(*v1alpha1.PrefixReservation)
		if !ok || !also {
			return true
		}
		before.Status.Conditions, after.Status.Conditions = nil, nil
		return differ(before, after)
	}}
}

// beyondOurWords lets changes of an Infrastructure pass, but for those of the text with which it is held.
func beyondOurWords() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.DeepCopyObject().(*extensionsv1alpha1.Infrastructure)
		after, also := e.ObjectNew.DeepCopyObject().(*extensionsv1alpha1.Infrastructure)
		if !ok || !also || !infrastructure.Held(before) || !infrastructure.Held(after) {
			return true
		}
		for _, infra := range []*extensionsv1alpha1.Infrastructure{before, after} {
			infra.Status.LastOperation.Description, infra.Status.LastError = "", nil
		}
		return differ(before, after)
	}}
}

// differ compares objects of one type, without what every write changes. A resync changes nothing at all and passes.
func differ(before, after client.Object) bool {
	if before.GetResourceVersion() == after.GetResourceVersion() {
		return true
	}
	for _, object := range []client.Object{before, after} {
		object.SetResourceVersion("")
		object.SetManagedFields(nil)
	}
	return !equality.Semantic.DeepEqual(before, after)
}
