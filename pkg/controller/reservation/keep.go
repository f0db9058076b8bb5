// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Reasons of the condition Held, and of the events beside it.
const (
	reasonVerified = "Verified"
	reasonMended   = "Mended"
	reasonLost     = "Lost"
)

// rounds spread the verification of what is bound over time: a service is asked for each reservation once an interval, not at
// every reconciliation, and not for all of them when the process starts. They are kept in memory: to ask too often once does no
// harm.
type rounds struct {
	interval time.Duration
	now      func() time.Time

	mu  sync.Mutex
	due map[types.UID]time.Time
}

// left is how long it is until the reservation is due; nothing if it is.
func (r *rounds) left(object *v1alpha1.PrefixReservation) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	due, known := r.due[object.UID]
	if !known {
		if !meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionHeld) {
			return 0
		}
		due = r.now().Add(rand.N(r.interval)) //nolint:gosec // spreads load
		r.due[object.UID] = due
	}
	return max(due.Sub(r.now()), 0)
}

// done plans the next round, with some jitter.
func (r *rounds) done(uid types.UID) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.interval - r.interval/10 + rand.N(r.interval/5) //nolint:gosec // spreads load
	r.due[uid] = r.now().Add(next)
	return next
}

// forget a reservation that is gone.
func (r *rounds) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.due, uid)
}

// external tells whether a call of the backend leaves the seed.
func external(b reservation.Backend) bool {
	return b.Type != helper.BackendPool && b.Type != helper.BackendULA
}

// keepBound mends what may have come loose around a bound reservation, and tells of what cannot be mended.
func (r *shootReconciler) keepBound(ctx context.Context, g *gathered, t tenant, object *v1alpha1.PrefixReservation, record reservation.Record) error {
	if object.DeletionTimestamp != nil {
		r.warnHeld(g)
	}
	b, ok := r.accounts.find(record.Backend)
	if !ok {
		return nil // adopted, or its pool was taken out of the configuration: the shoot keeps it
	}
	if external(b) {
		if left := r.rounds.left(object); left > 0 {
			g.again(left)
			return nil
		}
	}
	err := r.verify(ctx, t, b, object, record)
	if external(b) {
		g.again(r.rounds.done(object.UID))
	}
	kind := reservation.KindOf(err)
	if external(b) && kind != reservation.Conflict && kind != reservation.Invalid {
		return nil // the condition says it, and the next round asks again
	}
	return err
}

func (r *shootReconciler) verify(ctx context.Context, t tenant, b reservation.Backend, object *v1alpha1.PrefixReservation, record reservation.Record) error {
	opened, err := r.open(b, t)
	if err != nil {
		return err
	}
	if err := r.begin(ctx, t, opened); err != nil {
		return err
	}
	seen := &witness{Reserver: opened.reserver, prefix: record.Prefix}
	err = r.protocol(seen, object).Keep(ctx, record)
	switch kind := reservation.KindOf(err); kind {
	case "":
		mended := seen.missing && meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionHeld)
		if !mended {
			return r.setHeld(ctx, object, metav1.ConditionTrue, reasonVerified, fmt.Sprintf("%s holds %s", record.Backend, record.Prefix))
		}
		prefixesLost.WithLabelValues(record.Backend, reasonMended).Inc()
		r.event(object, corev1.EventTypeWarning, reasonMended, "Verify", "%s did not hold %s any more; it does again", record.Backend, record.Prefix)
		return nil
	case reservation.Conflict, reservation.Invalid:
		known := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionHeld)
		if known == nil || known.Reason != reasonLost {
			prefixesLost.WithLabelValues(record.Backend, reasonLost).Inc()
			r.event(object, corev1.EventTypeWarning, reasonLost, "Verify", "%v; it stays published, and a person has to act", err)
		}
		if saved := r.setHeld(ctx, object, metav1.ConditionFalse, reasonLost, err.Error()); saved != nil {
			return saved
		}
		return err
	default:
		if saved := r.setHeld(ctx, object, metav1.ConditionUnknown, string(kind), err.Error()); saved != nil {
			return saved
		}
		return err
	}
}

// witness remembers whether the backend held the prefix before anything was mended.
type witness struct {
	reservation.Reserver
	prefix  netip.Prefix
	missing bool
}

// Lookup as the Reserver does it.
func (w *witness) Lookup(ctx context.Context, owner reservation.Owner) ([]reservation.Allocation, error) {
	found, err := w.Reserver.Lookup(ctx, owner)
	if err != nil {
		return found, err
	}
	here := false
	for _, a := range found {
		here = here || a.Prefix == w.prefix
	}
	w.missing = w.missing || !here
	return found, nil
}

// setHeld writes the condition if it says something else by now.
func (r *shootReconciler) setHeld(ctx context.Context, object *v1alpha1.PrefixReservation, status metav1.ConditionStatus, reason, message string) error {
	next := object.DeepCopy()
	setHeld(next, status, reason, message)
	_, err := r.updateStatus(ctx, object, next)
	return err
}

func setHeld(r *v1alpha1.PrefixReservation, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionHeld, Status: status, Reason: reason, Message: message, ObservedGeneration: r.Generation,
	})
}
