// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package clusterapi

import (
	"context"
	"fmt"
	"net/netip"

	"go4.org/netipx"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

func (s *service) get(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u, s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, u)
}

func (s *service) list(ctx context.Context, kind schema.GroupVersionKind, opts ...client.ListOption) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := s.client.List(ctx, list, opts...)
	return list.Items, err
}

// pool reads a pool.
func (s *service) pool(ctx context.Context, configured reservation.Pool) (pool, error) {
	ref, err := refTo(configured.ID)
	if err != nil {
		return pool{}, err
	}
	namespace, where := s.namespace, " in namespace "+s.namespace
	if ref.Kind == global {
		namespace, where = "", ""
	}
	u, err := s.get(ctx, schema.GroupVersionKind{Group: group, Version: poolVersion, Kind: ref.Kind}, namespace, ref.Name)
	if apierrors.IsNotFound(err) {
		return pool{}, reservation.Errorf(reservation.Invalid, "there is no %s %s%s", ref.Kind, ref.Name, where)
	}
	if err != nil {
		return pool{}, err
	}
	return read[pool](u)
}

// Length is the pool's own.
func (s *service) Length(ctx context.Context, configured reservation.Pool, bits int) (int, error) {
	p, err := s.pool(ctx, configured)
	switch {
	case err != nil:
		return 0, err
	case p.bits() > bits:
		return 0, reservation.Errorf(reservation.Invalid, "%s gives nothing but /%d, and a /%d was asked for", configured.ID, p.bits(), bits)
	case p.bits() < configured.MinBits || p.bits() > configured.MaxBits:
		return 0, reservation.Errorf(reservation.Invalid, "%s gives nothing but /%d, which is not between the minPrefixLength %d and the maxPrefixLength %d of the configuration",
			configured.ID, p.bits(), configured.MinBits, configured.MaxBits)
	}
	return p.bits(), nil
}

// Create makes a claim. The provider chooses, unless an IPAddress of the claim's name is there already: that it takes over
// when it sees the claim, and does so for a certain prefix here. The IPAddress comes first, for a claim alone would be answered.
func (s *service) Create(ctx context.Context, ask objectipam.Ask) error {
	ref, err := refTo(ask.Pool.ID)
	if err != nil {
		return err
	}
	meta := metav1.ObjectMeta{Namespace: s.namespace, Name: ask.Name, Labels: ask.Labels, Annotations: ask.Annotations}
	if ask.Prefix.IsValid() {
		u, err := write(&address{ObjectMeta: meta, Spec: addressSpec{
			ClaimRef: named{ask.Name}, PoolRef: ref, Address: ask.Prefix.Addr().String(), Prefix: int32(ask.Prefix.Bits()),
		}}, addressKind)
		if err != nil {
			return err
		}
		// One that is there already is an earlier attempt's or somebody else's, which shows when the claim is answered with it.
		if err := s.client.Create(ctx, u); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	u, err := write(&claim{ObjectMeta: meta, Spec: claimSpec{PoolRef: ref}}, claimKind)
	if err != nil {
		return err
	}
	return s.client.Create(ctx, u)
}

// Get returns a claim with what it was answered. An IPAddress of ours without its claim is one, too: the process that was
// making both died in between.
func (s *service) Get(ctx context.Context, name string) (*objectipam.Object, error) {
	u, err := s.get(ctx, claimKind, s.namespace, name)
	switch {
	case apierrors.IsNotFound(err):
		return s.orphan(ctx, name)
	case err != nil:
		return nil, err
	}
	c, err := read[claim](u)
	if err != nil {
		return nil, err
	}
	if c.Status.AddressRef.Name == "" {
		return s.waiting(ctx, c)
	}
	u, err = s.get(ctx, addressKind, s.namespace, c.Status.AddressRef.Name)
	if apierrors.IsNotFound(err) {
		if c.DeletionTimestamp != nil {
			return c.object(nil)
		}
		return nil, reservation.Errorf(reservation.Retry, "the IPAddress %s of the claim %s is gone", c.Status.AddressRef.Name, name)
	}
	if err != nil {
		return nil, err
	}
	a, err := read[address](u)
	if err != nil {
		return nil, err
	}
	return c.object(&a)
}

// waiting is a claim without an answer. If an IPAddress of its name is there, that is what it wants.
func (s *service) waiting(ctx context.Context, c claim) (*objectipam.Object, error) {
	o, err := c.object(nil)
	if err != nil {
		return nil, err
	}
	wanted, err := s.orphan(ctx, c.Name)
	if wanted != nil {
		o.Wants = wanted.Prefix
	}
	return o, err
}

func (s *service) orphan(ctx context.Context, name string) (*objectipam.Object, error) {
	u, err := s.get(ctx, addressKind, s.namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a, err := read[address](u)
	if err != nil {
		return nil, err
	}
	return a.object()
}

func (c claim) object(answer *address) (*objectipam.Object, error) {
	o := &objectipam.Object{
		Name: c.Name, UID: string(c.UID), ResourceVersion: c.ResourceVersion, Annotations: c.Annotations,
		Pool: c.Spec.PoolRef.id(), Since: c.CreationTimestamp.UTC(), Deleting: c.DeletionTimestamp != nil,
	}
	if answer == nil {
		return o, nil
	}
	if answer.Spec.ClaimRef.Name != c.Name {
		return nil, reservation.Errorf(reservation.Conflict, "IPAddress %s is for claim %s, not for %s", answer.Name, answer.Spec.ClaimRef.Name, c.Name)
	}
	var err error
	o.Prefix, err = answer.prefix()
	return o, err
}

func (a address) object() (*objectipam.Object, error) {
	p, err := a.prefix()
	return &objectipam.Object{
		Name: a.Name, UID: string(a.UID), ResourceVersion: a.ResourceVersion, Annotations: a.Annotations,
		Pool: a.Spec.PoolRef.id(), Prefix: p, Since: a.CreationTimestamp.UTC(), Deleting: a.DeletionTimestamp != nil,
		Incomplete: true,
	}, err
}

// List returns the claims with the label, and the IPAddresses with it whose claims are not there.
func (s *service) List(ctx context.Context, key, value string) ([]objectipam.Object, error) {
	// Claims first: a claim that is made in between has its IPAddress, whereas one that goes takes it along.
	claims, err := s.list(ctx, claimKind, client.InNamespace(s.namespace), client.MatchingLabels{key: value})
	if err != nil {
		return nil, err
	}
	items, err := s.list(ctx, addressKind, client.InNamespace(s.namespace))
	if err != nil {
		return nil, err
	}
	addresses := make(map[string]address, len(items))
	for i := range items {
		a, err := read[address](&items[i])
		if err != nil {
			return nil, err
		}
		addresses[a.Name] = a
	}
	objects := make([]objectipam.Object, 0, len(claims))
	for i := range claims {
		c, err := read[claim](&claims[i])
		if err != nil {
			return nil, err
		}
		var answer *address
		if a, ok := addresses[c.Status.AddressRef.Name]; ok {
			answer = &a
		}
		o, err := c.object(answer)
		if err != nil {
			return nil, err
		}
		objects = append(objects, *o)
		delete(addresses, c.Name)
	}
	for _, a := range addresses {
		if a.Labels[key] != value {
			continue
		}
		o, err := a.object()
		if err != nil {
			return nil, err
		}
		objects = append(objects, *o)
	}
	return objects, nil
}

// Annotate sets annotations of the claim.
func (s *service) Annotate(ctx context.Context, o objectipam.Object, annotations map[string]string) error {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(claimKind)
	u.SetNamespace(s.namespace)
	u.SetName(o.Name)
	before := u.DeepCopy()
	// The API server refuses a patch for another one, and for one that has changed.
	u.SetUID(types.UID(o.UID))
	u.SetResourceVersion(o.ResourceVersion)
	u.SetAnnotations(annotations)
	return s.client.Patch(ctx, u, client.MergeFrom(before))
}

// Delete the claim, whose IPAddress the provider deletes, or the IPAddress that has none.
func (s *service) Delete(ctx context.Context, o objectipam.Object) error {
	preconditions := client.Preconditions{UID: (*types.UID)(&o.UID)}
	if o.ResourceVersion != "" {
		preconditions.ResourceVersion = &o.ResourceVersion
	}
	for _, kind := range []schema.GroupVersionKind{claimKind, addressKind} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(kind)
		u.SetNamespace(s.namespace)
		u.SetName(o.Name)
		if err := s.client.Delete(ctx, u, preconditions); !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// Space is what the pool's spec says, less the IPAddresses that refer to the pool.
func (s *service) Space(ctx context.Context, configured reservation.Pool) (objectipam.Space, error) {
	p, err := s.pool(ctx, configured)
	if err != nil {
		return objectipam.Space{}, err
	}
	var space objectipam.Space
	for _, text := range p.Spec.Prefixes {
		whole, err := netip.ParsePrefix(text)
		if err != nil {
			return space, reservation.Errorf(reservation.Invalid, "%s: %w", configured.ID, err)
		}
		space.Whole = append(space.Whole, whole.Masked())
	}
	for _, text := range p.Spec.ExcludedPrefixes {
		excluded, err := excluded(text)
		if err != nil {
			return space, reservation.Errorf(reservation.Invalid, "%s: %w", configured.ID, err)
		}
		for _, e := range excluded {
			space.Used = append(space.Used, objectipam.Part{Prefix: e, Holder: "nobody: it is among the excludedPrefixes of " + configured.ID})
		}
	}
	var opts []client.ListOption
	if p.Kind == namespaced {
		opts = append(opts, client.InNamespace(s.namespace))
	}
	items, err := s.list(ctx, addressKind, opts...)
	if err != nil {
		return space, err
	}
	for i := range items {
		a, err := read[address](&items[i])
		if err != nil {
			return space, err
		}
		if a.Spec.PoolRef.id() != configured.ID {
			continue
		}
		held, err := a.prefix()
		if err != nil {
			return space, err
		}
		part := objectipam.Part{Prefix: held, Holder: fmt.Sprintf("IPAddress %s/%s", a.Namespace, a.Name)}
		if a.Namespace == s.namespace {
			part.Name = a.Name
		}
		space.Used = append(space.Used, part)
	}
	return space, nil
}

// excluded reads an entry of excludedPrefixes: a prefix, a range, or an address.
func excluded(text string) ([]netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return []netip.Prefix{p.Masked()}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, nil
	}
	r, err := netipx.ParseIPRange(text)
	if err != nil {
		return nil, fmt.Errorf("excludedPrefixes: %q is no address, prefix or range", text)
	}
	return r.Prefixes(), nil
}

const pausedAnnotation = "cluster.x-k8s.io/paused"

// Refusal computes it from what is taken: the provider sets no condition on a claim that it cannot serve, it only logs, and the
// numbers in the pool's status come later than the IPAddresses.
func (s *service) Refusal(ctx context.Context, o objectipam.Object, configured reservation.Pool) error {
	p, err := s.pool(ctx, configured)
	if err != nil {
		return err
	}
	if _, paused := p.Annotations[pausedAnnotation]; paused {
		return reservation.Errorf(reservation.Wait, "%s is paused", configured.ID)
	}
	if o.Wants.IsValid() {
		return nil // its IPAddress is there, the provider only has to see it
	}
	space, err := s.Space(ctx, configured)
	if err != nil {
		return err
	}
	_, ok, err := prefix.Cut(space.Whole, space.Prefixes(), p.bits())
	if err == nil && !ok {
		return reservation.Errorf(reservation.Exhausted, "%s has no /%d left", configured.ID, p.bits())
	}
	return err
}
