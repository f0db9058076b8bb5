// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package configjournal keeps the journal of a controller in a ConfigMap that only who has read it last can write. That is what the
// safety of decisions 0030 and 0034 rests on.
package configjournal

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const dataKey = "journal.json"

// New is the ConfigMap of a journal that nobody has written yet.
func New(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// Read the journal from the API server itself and not from a cache. One that is not there is New.
func Read(ctx context.Context, live client.Reader, namespace, name string) (*corev1.ConfigMap, error) {
	object := New(namespace, name)
	err := live.Get(ctx, client.ObjectKeyFromObject(object), object)
	switch {
	case apierrors.IsNotFound(err):
		return New(namespace, name), nil
	case err != nil:
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return object, nil
}

// Text of the journal; empty if there is none.
func Text(object *corev1.ConfigMap) string { return object.Data[dataKey] }

// Write the text at the version that was read, or fail. Outdated tells that somebody else wrote meanwhile: then what was read, and all that
// was made of it, is worth nothing any more.
func Write(ctx context.Context, c client.Client, read *corev1.ConfigMap, text, owner string) (written *corev1.ConfigMap, outdated bool, err error) {
	written = read.DeepCopy()
	written.Data = map[string]string{dataKey: text}
	if written.ResourceVersion == "" {
		err = c.Create(ctx, written, client.FieldOwner(owner))
	} else {
		err = c.Update(ctx, written, client.FieldOwner(owner))
	}
	if err != nil {
		outdated = apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
		return nil, outdated, fmt.Errorf("write the journal: %w", err)
	}
	return written, false, nil
}
