// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package objectipam is what IPAM services have in common that are made of Kubernetes objects: one creates an object that asks
// for a prefix, and the service's controller answers in it. The adapters clusterapi and ironcore say what their objects look
// like; this package makes a reservation.Reserver of that.
//
// The object's name follows from the owner, so the API server itself sees to it that an owner has one object at most: whoever
// comes second finds the first one's and waits for the same answer. An object that was created and not answered yet is neither
// held nor nothing: whoever looks waits for the answer, and what will not be answered is withdrawn.
package objectipam

import (
	"context"
	"net/netip"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Service is one kind of IPAM. Its methods read live, never from a cache, and may return the API server's errors as they are.
type Service interface {
	// Length is what the pool gives if a prefix of at most this length is asked for. The error is of kind Invalid if it gives
	// none such, or if there is no such pool.
	Length(ctx context.Context, pool reservation.Pool, bits int) (int, error)
	// Create makes an object that asks.
	Create(context.Context, Ask) error
	// Get returns the object of a name, nil if there is none.
	Get(ctx context.Context, name string) (*Object, error)
	// List returns the objects that have this label.
	List(ctx context.Context, key, value string) ([]Object, error)
	// Annotate sets annotations of this very object, if it has not changed since it was read.
	Annotate(ctx context.Context, object Object, annotations map[string]string) error
	// Delete begins the deletion of this very object; if its ResourceVersion is not empty, only if it has not changed since.
	Delete(context.Context, Object) error
	// Space is what a pool consists of and who has which part of it.
	Space(ctx context.Context, pool reservation.Pool) (Space, error)
	// Refusal tells why the service will not answer the object as things are: of kind Exhausted if the pool is full, Conflict
	// if the very prefix is not to be had, Invalid if the pool is gone. Nil if it may answer yet.
	Refusal(ctx context.Context, object Object, pool reservation.Pool) error
}

// Ask is what an object asks for.
type Ask struct {
	// Name, Labels and Annotations of the object.
	Name                string
	Labels, Annotations map[string]string
	// Pool to take it from.
	Pool reservation.Pool
	// Bits is the length of the prefix.
	Bits int
	// Prefix is the very one that is wanted. If it is not valid the service chooses.
	Prefix netip.Prefix
}

// Object of a service.
type Object struct {
	// Name, UID and ResourceVersion identify it and its state.
	Name, UID, ResourceVersion string
	// Annotations that bear the mark of the owner.
	Annotations map[string]string
	// Pool that it asks, by the ID that the service knows.
	Pool string
	// Bits that it asks for, 0 if the pool decides that alone; Wants is the very prefix, if it asks for a certain one.
	Bits  int
	Wants netip.Prefix
	// Prefix that it holds; not valid as long as the service has not answered.
	Prefix netip.Prefix
	// Since is when it was created.
	Since time.Time
	// Deleting is true once its deletion has begun: what it holds is about to be given to others.
	Deleting bool
	// Incomplete is true if it holds the prefix, but whoever made it died before it was as it should be. Claim makes it anew.
	Incomplete bool
}

// Space of a pool.
type Space struct {
	// Whole are the prefixes that the pool consists of.
	Whole []netip.Prefix
	// Used are the parts that somebody holds or nobody may have.
	Used []Part
}

// Part of a pool's space and who holds it.
type Part struct {
	Prefix netip.Prefix
	// Name of the object that holds it.
	Name string
	// Holder in words, for messages.
	Holder string
}

// Overlapping returns a part that overlaps the prefix and is not held by the object of this name.
func (s Space) Overlapping(p netip.Prefix, name string) (Part, bool) {
	for _, part := range s.Used {
		if part.Prefix.Overlaps(p) && part.Name != name {
			return part, true
		}
	}
	return Part{}, false
}

// Prefixes that are used.
func (s Space) Prefixes() []netip.Prefix {
	used := make([]netip.Prefix, len(s.Used))
	for i, part := range s.Used {
		used[i] = part.Prefix
	}
	return used
}
