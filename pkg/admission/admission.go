// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package admission mutates and validates Shoots of network type "ipv6" on their way into the garden.
//
// The mutator takes the keywords out of spec.networking.{nodes,pods,services}, where Gardener accepts CIDRs only, keeps them in
// spec.networking.providerConfig.ranges, and sets the fields that follow from them. It also reports every mistake, because
// Gardener's own validation comes before validating webhooks and would only say that a keyword is no CIDR. The validator looks at
// what is left when every other mutating webhook had its turn. Neither has a side effect: nothing is reserved here.
package admission

import (
	"context"
	"fmt"
	"strings"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

var (
	networkingPath     = field.NewPath("spec", "networking")
	providerConfigPath = networkingPath.Child("providerConfig")
	ipamPath           = providerConfigPath.Child("ipam")
	kubernetesPath     = field.NewPath("spec", "kubernetes")
)

// denied is what a client reads when a Shoot is refused: one paragraph a mistake.
type denied field.ErrorList

func (d denied) Error() string {
	texts := make([]string, 0, len(d))
	for _, e := range d {
		texts = append(texts, e.Error())
	}
	if len(texts) > 1 || strings.Contains(texts[0], "\n") {
		return "the Shoot's networking has mistakes:\n" + strings.Join(texts, "\n")
	}
	return texts[0]
}

// orNil is the list as an error, nil if it is empty.
func orNil(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return denied(errs)
}

// shoots casts the objects of a request. The old one is nil on creation.
func shoots(newObj, oldObj client.Object) (updated, old *gardencorev1beta1.Shoot, err error) {
	updated, ok := newObj.(*gardencorev1beta1.Shoot)
	if !ok {
		return nil, nil, fmt.Errorf("expected a Shoot, got %T", newObj)
	}
	if oldObj == nil {
		return updated, nil, nil
	}
	if old, ok = oldObj.(*gardencorev1beta1.Shoot); !ok {
		return nil, nil, fmt.Errorf("expected a Shoot as the old object, got %T", oldObj)
	}
	return updated, old, nil
}

// admit has a Shoot judged that is ours to look at.
func admit(ctx context.Context, reader client.Reader, newObj, oldObj client.Object,
	judge func(updated, old *gardencorev1beta1.Shoot, seed *gardencorev1beta1.Seed) field.ErrorList,
) error {
	updated, old, err := shoots(newObj, oldObj)
	if err != nil || !concerns(updated, old) {
		return err
	}
	seed, err := seedOf(ctx, reader, updated)
	if err != nil {
		return err
	}
	return orNil(judge(updated, old, seed))
}

// concerns tells whether the Shoot is ours to look at. One that is being deleted is not: it must not be held up by a rule, and
// neither must an update that leaves the spec alone.
func concerns(updated, old *gardencorev1beta1.Shoot) bool {
	networking := updated.Spec.Networking
	if networking == nil || networking.Type == nil || *networking.Type != shootplan.NetworkType {
		return false
	}
	if updated.DeletionTimestamp != nil {
		return false
	}
	return old == nil || !apiequality.Semantic.DeepEqual(updated.Spec, old.Spec)
}

// seedOf reads the Seed of the Shoot; nil if it has none yet, or the Seed is gone.
func seedOf(ctx context.Context, reader client.Reader, shoot *gardencorev1beta1.Shoot) (*gardencorev1beta1.Seed, error) {
	if shoot.Spec.SeedName == nil {
		return nil, nil
	}
	seed := &gardencorev1beta1.Seed{}
	if err := reader.Get(ctx, client.ObjectKey{Name: *shoot.Spec.SeedName}, seed); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading Seed %s: %w", *shoot.Spec.SeedName, err)
	}
	return seed, nil
}
