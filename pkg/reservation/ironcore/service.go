// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ironcore

import (
	"context"
	"net/netip"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/objectipam"
)

// service is the objectipam.Service.
type service struct {
	client    client.Client
	namespace string
}

var _ objectipam.Service = &service{}

func (s *service) get(ctx context.Context, name string) (prefixObject, error) {
	u := s.object(prefixKind, name)
	if err := s.client.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
		return prefixObject{}, err
	}
	return read[prefixObject](u)
}

func (s *service) object(kind schema.GroupVersionKind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	u.SetNamespace(s.namespace)
	u.SetName(name)
	return u
}

func (s *service) list(ctx context.Context, kind schema.GroupVersionKind, opts ...client.ListOption) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := s.client.List(ctx, list, append(opts, client.InNamespace(s.namespace))...)
	return list.Items, err
}

// parent reads a pool: the Prefix that others are cut from.
func (s *service) parent(ctx context.Context, pool reservation.Pool) (netip.Prefix, error) {
	parent, err := s.get(ctx, pool.ID)
	switch {
	case apierrors.IsNotFound(err):
		return netip.Prefix{}, reservation.Errorf(reservation.Invalid, "there is no Prefix %s in namespace %s", pool.ID, s.namespace)
	case err != nil:
		return netip.Prefix{}, err
	case parent.DeletionTimestamp != nil:
		return netip.Prefix{}, reservation.Errorf(reservation.Invalid, "the Prefix %s/%s is being deleted", s.namespace, pool.ID)
	case parent.Status.Phase != allocated || parent.Spec.Prefix == "":
		return netip.Prefix{}, reservation.Errorf(reservation.Retry, "the Prefix %s/%s is itself not allocated yet", s.namespace, pool.ID)
	}
	return parsed(parent.Spec.Prefix)
}

func parsed(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, reservation.Errorf(reservation.Invalid, "reading a prefix: %w", err)
	}
	return p.Masked(), nil
}

// Length is what is asked for, within the configured limits. IronCore gives no part that is as large as its parent.
func (s *service) Length(ctx context.Context, pool reservation.Pool, bits int) (int, error) {
	whole, err := s.parent(ctx, pool)
	switch {
	case err != nil:
		return 0, err
	case bits < pool.MinBits:
		return 0, reservation.Errorf(reservation.Invalid, "it gives nothing larger than a /%d, and a /%d was asked for", pool.MinBits, bits)
	case min(bits, pool.MaxBits) <= whole.Bits():
		return 0, reservation.Errorf(reservation.Invalid, "the Prefix %s/%s is %s: it gives nothing larger than a /%d, and a /%d was asked for",
			s.namespace, pool.ID, whole, whole.Bits()+1, bits)
	}
	return min(bits, pool.MaxBits), nil
}

// Create makes a Prefix.
func (s *service) Create(ctx context.Context, ask objectipam.Ask) error {
	o := prefixObject{
		ObjectMeta: metav1.ObjectMeta{Labels: ask.Labels, Annotations: ask.Annotations},
		Spec:       prefixSpec{IPFamily: ask.Pool.Family.String(), PrefixLength: int32(ask.Bits), ParentRef: &named{ask.Pool.ID}},
	}
	if ask.Prefix.IsValid() {
		o.Spec.Prefix = ask.Prefix.String()
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&o)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	delete(u.Object, "status")
	u.SetGroupVersionKind(prefixKind)
	u.SetNamespace(s.namespace)
	u.SetName(ask.Name)
	return s.client.Create(ctx, u)
}

// Get returns a Prefix.
func (s *service) Get(ctx context.Context, name string) (*objectipam.Object, error) {
	o, err := s.get(ctx, name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return o.object()
}

func (o prefixObject) object() (*objectipam.Object, error) {
	result := &objectipam.Object{
		Name: o.Name, UID: string(o.UID), ResourceVersion: o.ResourceVersion, Annotations: o.Annotations,
		Bits: int(o.Spec.PrefixLength), Since: o.CreationTimestamp.UTC(), Deleting: o.DeletionTimestamp != nil,
	}
	if o.Spec.ParentRef != nil {
		result.Pool = o.Spec.ParentRef.Name
	}
	if o.Spec.Prefix == "" {
		return result, nil
	}
	p, err := parsed(o.Spec.Prefix)
	if o.Status.Phase == allocated {
		result.Prefix = p
	} else {
		result.Wants = p
	}
	return result, err
}

// List returns the Prefixes with the label.
func (s *service) List(ctx context.Context, key, value string) ([]objectipam.Object, error) {
	items, err := s.list(ctx, prefixKind, client.MatchingLabels{key: value})
	if err != nil {
		return nil, err
	}
	objects := make([]objectipam.Object, 0, len(items))
	for i := range items {
		p, err := read[prefixObject](&items[i])
		if err != nil {
			return nil, err
		}
		o, err := p.object()
		if err != nil {
			return nil, err
		}
		objects = append(objects, *o)
	}
	return objects, nil
}

// Annotate sets annotations of the Prefix.
func (s *service) Annotate(ctx context.Context, o objectipam.Object, annotations map[string]string) error {
	u := s.object(prefixKind, o.Name)
	before := u.DeepCopy()
	// The API server refuses a patch for another one, and for one that has changed.
	u.SetUID(types.UID(o.UID))
	u.SetResourceVersion(o.ResourceVersion)
	u.SetAnnotations(annotations)
	return s.client.Patch(ctx, u, client.MergeFrom(before))
}

// Delete the Prefix, after what belongs to it: Kubernetes' garbage collector removes its PrefixAllocation, and only then is it
// gone and its place free.
func (s *service) Delete(ctx context.Context, o objectipam.Object) error {
	preconditions := client.Preconditions{UID: (*types.UID)(&o.UID)}
	if o.ResourceVersion != "" {
		preconditions.ResourceVersion = &o.ResourceVersion
	}
	return s.client.Delete(ctx, s.object(prefixKind, o.Name), preconditions, client.PropagationPolicy(metav1.DeletePropagationForeground))
}

// Space is the parent, less what was allocated of it: what its book says, and what the Prefixes themselves say, in case that
// the book was changed behind their backs.
func (s *service) Space(ctx context.Context, pool reservation.Pool) (objectipam.Space, error) {
	whole, err := s.parent(ctx, pool)
	if err != nil {
		return objectipam.Space{}, err
	}
	space := objectipam.Space{Whole: []netip.Prefix{whole}}
	add := func(text, name string) error {
		held, err := parsed(text)
		part := objectipam.Part{Prefix: held, Name: name, Holder: "Prefix " + s.namespace + "/" + name}
		if err == nil && !slices.Contains(space.Used, part) {
			space.Used = append(space.Used, part)
		}
		return err
	}
	items, err := s.list(ctx, prefixKind)
	if err != nil {
		return space, err
	}
	for i := range items {
		p, err := read[prefixObject](&items[i])
		if err != nil {
			return space, err
		}
		if p.Spec.ParentRef == nil || p.Spec.ParentRef.Name != pool.ID || p.Status.Phase != allocated {
			continue
		}
		if err := add(p.Spec.Prefix, p.Name); err != nil {
			return space, err
		}
	}
	if items, err = s.list(ctx, allocationKind); err != nil {
		return space, err
	}
	for i := range items {
		a, err := read[prefixAllocation](&items[i])
		if err != nil {
			return space, err
		}
		if a.Spec.PrefixRef == nil || a.Spec.PrefixRef.Name != pool.ID || a.Status.Phase != allocated {
			continue
		}
		if err := add(a.Status.Prefix, a.holder()); err != nil {
			return space, err
		}
	}
	return space, nil
}

// holder is the name of the Prefix that the allocation was made for.
func (a prefixAllocation) holder() string {
	for _, o := range a.OwnerReferences {
		if o.Kind == prefixKind.Kind {
			return o.Name
		}
	}
	return a.Name
}

// Refusal computes it: a Prefix that finds no room stays Pending, for ever and without a word.
func (s *service) Refusal(ctx context.Context, o objectipam.Object, pool reservation.Pool) error {
	space, err := s.Space(ctx, pool)
	if err != nil {
		return err
	}
	if o.Wants.IsValid() {
		if !prefix.Covers(space.Whole[0], o.Wants) {
			return reservation.Errorf(reservation.Invalid, "%s does not lie in %s", o.Wants, space.Whole[0])
		}
		if other, overlaps := space.Overlapping(o.Wants, o.Name); overlaps {
			return reservation.Errorf(reservation.Conflict, "%s is held by %s", o.Wants, other.Holder)
		}
		return nil
	}
	_, ok, err := prefix.Cut(space.Whole, space.Prefixes(), o.Bits)
	if err == nil && !ok {
		return reservation.Errorf(reservation.Exhausted, "%s has no /%d left", space.Whole[0], o.Bits)
	}
	return err
}
