// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// SecretCredentials reads a Secret anew whenever credentials are needed: what stands in it may be a token that is replaced every
// few minutes.
func SecretCredentials(live client.Reader, key types.NamespacedName) reservation.Credentials {
	return func(ctx context.Context) (map[string][]byte, error) {
		secret := &corev1.Secret{}
		if err := live.Get(ctx, key, secret); err != nil {
			if apierrors.IsNotFound(err) {
				return nil, reservation.Errorf(reservation.Unauthorized, "there is no Secret %s with the credentials: create it", key)
			}
			return nil, fmt.Errorf("reading the credentials in Secret %s: %w", key, err)
		}
		return secret.Data, nil
	}
}

// holdSecret keeps the Secret with the shoot's credentials from going away while something is held with them. Without it the
// backend says what is wrong.
func (k *kit) holdSecret(ctx context.Context, t tenant) error {
	secret := &corev1.Secret{}
	if err := k.live.Get(ctx, t.secret, secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	before := secret.DeepCopy()
	if secret.DeletionTimestamp != nil || !controllerutil.AddFinalizer(secret, v1alpha1.FinalizerReservation) {
		return nil
	}
	if err := k.client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("adding the finalizer to Secret %s: %w", t.secret, err)
	}
	return nil
}

// letSecretGo takes the finalizer off again: nothing is held with it any more, or by another seed.
func (k *kit) letSecretGo(ctx context.Context, t tenant) error {
	secret := &corev1.Secret{}
	if err := k.live.Get(ctx, t.secret, secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	before := secret.DeepCopy()
	if !controllerutil.RemoveFinalizer(secret, v1alpha1.FinalizerReservation) {
		return nil
	}
	err := k.client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer from Secret %s: %w", t.secret, err)
	}
	return nil
}
