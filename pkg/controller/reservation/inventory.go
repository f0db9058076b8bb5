// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/third_party/forked/golang/btree"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// inventory is what the seed's PrefixReservations hold, kept up to date by their watch, so that neither a new prefix nor a scrape of
// the metrics has to go through all of them.
type inventory struct {
	mu      sync.RWMutex
	objects map[types.UID]item
	tree    *btree.BTree[item]
	// lengths counts the prefixes in the tree by family and length; what covers a prefix can only have one of these.
	lengths map[lengthKey]int
	counts  map[standing]int
	lost    map[string]int
	moved   int

	synced func() bool
}

// item is one object. Those without a prefix are not in the tree.
type item struct {
	prefix   netip.Prefix
	uid      types.UID
	holder   reservation.Owner
	standing standing
	// moved is true of the tombstone of a shoot that moved away, lost of what is bound but not held.
	moved, lost bool
}

// standing is where reservations stand, as the metrics tell.
type standing struct{ phase, name, backend string }

type lengthKey struct {
	family prefix.Family
	bits   int
}

func newInventory() *inventory {
	less := func(a, b item) bool {
		return cmp.Or(prefix.Compare(a.prefix, b.prefix), cmp.Compare(a.uid, b.uid)) < 0
	}
	return &inventory{
		objects: map[types.UID]item{}, tree: btree.New(32, less), lengths: map[lengthKey]int{}, counts: map[standing]int{},
		lost:   map[string]int{},
		synced: func() bool { return true },
	}
}

// watch feeds the inventory from the manager's cache.
func (i *inventory) watch(ctx context.Context, c cache.Cache) error {
	informer, err := c.GetInformer(ctx, &v1alpha1.PrefixReservation{})
	if err != nil {
		return fmt.Errorf("watching the PrefixReservations: %w", err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    i.put,
		UpdateFunc: func(_, obj any) { i.put(obj) },
		DeleteFunc: i.remove,
	})
	if err != nil {
		return fmt.Errorf("watching the PrefixReservations: %w", err)
	}
	i.synced = registration.HasSynced
	return nil
}

func (i *inventory) put(obj any) {
	r, ok := obj.(*v1alpha1.PrefixReservation)
	if !ok {
		return
	}
	phase := cmp.Or(r.Status.Phase, v1alpha1.PhasePending)
	next := item{
		uid: r.UID, holder: holderOf(r), standing: standing{string(phase), string(r.Spec.Range), r.Status.Backend},
		moved: phase == v1alpha1.PhaseQuarantined && r.Status.QuarantinedUntil == nil,
		lost:  phase == v1alpha1.PhaseBound && meta.IsStatusConditionFalse(r.Status.Conditions, v1alpha1.ConditionHeld),
	}
	if allocated, err := netip.ParsePrefix(r.Status.Allocated); err == nil {
		next.prefix = allocated.Masked()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop(r.UID)
	i.objects[r.UID] = next
	i.count(next, 1)
	if next.prefix.IsValid() {
		i.tree.ReplaceOrInsert(next)
	}
}

func (i *inventory) remove(obj any) {
	if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if r, ok := obj.(*v1alpha1.PrefixReservation); ok {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.drop(r.UID)
	}
}

func (i *inventory) drop(uid types.UID) {
	earlier, ok := i.objects[uid]
	if !ok {
		return
	}
	delete(i.objects, uid)
	i.count(earlier, -1)
	if earlier.prefix.IsValid() {
		i.tree.Delete(earlier)
	}
}

func (i *inventory) count(of item, by int) {
	if i.counts[of.standing] += by; i.counts[of.standing] == 0 {
		delete(i.counts, of.standing)
	}
	if of.moved {
		i.moved += by
	}
	if of.lost {
		i.lost[of.standing.backend] += by
	}
	if of.prefix.IsValid() {
		key := lengthKey{prefix.FamilyOf(of.prefix.Addr()), of.prefix.Bits()}
		if i.lengths[key] += by; i.lengths[key] == 0 {
			delete(i.lengths, key)
		}
	}
}

// overlapping returns a prefix that p overlaps and that somebody else than the holder has. Prefixes nest or are disjoint: what
// overlaps p either covers it, and there is one candidate a length, or lies in it, and stands right after it in the tree.
func (i *inventory) overlapping(p netip.Prefix, holder reservation.Owner) (netip.Prefix, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	var found netip.Prefix
	look := func(p netip.Prefix, inside bool) {
		i.tree.AscendGreaterOrEqual(item{prefix: p}, func(other item) bool {
			if other.prefix != p && (!inside || !prefix.Covers(p, other.prefix)) {
				return false
			}
			if other.holder != holder {
				found = other.prefix
			}
			return !found.IsValid()
		})
	}
	for key := range i.lengths {
		if key.family == prefix.FamilyOf(p.Addr()) && key.bits < p.Bits() && !found.IsValid() {
			look(netip.PrefixFrom(p.Addr(), key.bits).Masked(), false)
		}
	}
	if !found.IsValid() {
		look(p, true)
	}
	return found, found.IsValid()
}

// figures are how many reservations stand where.
type figures struct {
	standing map[standing]int
	// lost by backend: bound, but not held.
	lost map[string]int
	// moved are the tombstones of shoots that moved away.
	moved int
}

func (i *inventory) figures() figures {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return figures{maps.Clone(i.counts), maps.Clone(i.lost), i.moved}
}

// holderOf a reservation is its owner without the attempt: two objects with the same one stand for the same range of the same
// shoot, and one may be what is left of the other.
func holderOf(r *v1alpha1.PrefixReservation) reservation.Owner {
	owner := infrastructure.OwnerOf(r)
	owner.Attempt = 0
	return owner
}
