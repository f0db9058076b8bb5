// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// backendAdopted names ranges that the infrastructure provider brought.
const backendAdopted = infrastructure.BackendAdopted

// ensure makes the reservations that the plan requests, drives each as far as it goes and publishes what is known. One
// that does not get on does not hold up the others.
func (r *shootReconciler) ensure(ctx context.Context, g *gathered, t tenant) error {
	shoot := infrastructure.Of(g.cluster.Shoot, g.cluster.Seed, g.reservations)
	if shoot.PlanErr != nil {
		r.event(g.infra, corev1.EventTypeWarning, "InvalidRanges", "Plan", "%v", shoot.PlanErr)
		return r.publish(ctx, g)
	}
	var errs []error
	for _, request := range shoot.Plan.Requests {
		if err := r.ensureOne(ctx, g, t, shoot.Plan, request); err != nil {
			errs = append(errs, fmt.Errorf("%s (%s): %w", request.Range, request.Family, err))
		}
	}
	errs = append(errs, r.publish(ctx, g), r.tellShoot(ctx, g))
	return errors.Join(errs...)
}

func (r *shootReconciler) ensureOne(ctx context.Context, g *gathered, t tenant, p plan.Plan, request plan.Request) error {
	object, err := r.intent(ctx, g, t, request)
	if err != nil {
		return err
	}
	record, err := recordOf(object)
	if err != nil {
		return err
	}
	_, published := publishedFor(g, object)
	switch reservation.DecideOne(record.Phase, object.DeletionTimestamp != nil, published) {
	case reservation.Keep:
		return r.keepBound(ctx, g, t, object, record)
	case reservation.Release:
		// Deleted before it was bound, or by a shoot that was on its way out: finish that, then begin anew.
		if err := r.releaseOne(ctx, t, object); err != nil {
			return err
		}
		return reservation.Errorf(reservation.Wait, "the reservation was deleted and is made anew")
	case reservation.Ensure, reservation.Restore, reservation.Migrate:
	}
	err = r.drive(ctx, g, t, p, object, record)
	if err != nil {
		err = errors.Join(err, r.report(ctx, g, object, err))
	}
	return err
}

// intent returns the reservation of the request, creating it if there is none: from here on it is on record that the shoot
// wants a prefix, before anybody is asked for one.
func (r *shootReconciler) intent(ctx context.Context, g *gathered, t tenant, request plan.Request) (*v1alpha1.PrefixReservation, error) {
	wanted, err := r.newReservation(g, t, request)
	if err != nil {
		return nil, err
	}
	for _, existing := range g.own() {
		if existing.Name == wanted.Name {
			return existing, r.revisit(ctx, g, t, existing, wanted)
		}
	}
	if err := r.client.Create(ctx, wanted); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil, reservation.Errorf(reservation.Retry, "another controller, or the former shoot of this name, has made it: %w", err)
		}
		return nil, fmt.Errorf("creating PrefixReservation %s: %w", client.ObjectKeyFromObject(wanted), err)
	}
	r.fail(reservation.AfterIntent)
	// What was read of the shoot may be older than the intent. Its creation wakes us, and then it is read again.
	g.reservations = append(g.reservations, *wanted)
	return nil, reservation.Errorf(reservation.Wait, "it is on record that the shoot wants a prefix")
}

// publishedFor is the range that Kubernetes has already for a reservation: what the Shoot's status says, or, before gardenlet has
// copied it there, what the reservation says was published and the Infrastructure shows.
func publishedFor(g *gathered, object *v1alpha1.PrefixReservation) (netip.Prefix, bool) {
	key := infrastructure.KeyOf(object)
	if published, ok := infrastructure.PublishedBefore(g.cluster.Shoot, key); ok {
		return published, true
	}
	reported, ok := infrastructure.Reported(&g.infra.Status, key)
	return reported, ok && object.Status.Published == reported.String()
}

// revisit compares an intent with what the Shoot asks for by now. What is bound, or published, stays as it is; else it is made
// anew.
func (r *shootReconciler) revisit(ctx context.Context, g *gathered, t tenant, existing, wanted *v1alpha1.PrefixReservation) error {
	resized := existing.Spec.Scope != wanted.Spec.Scope ||
		existing.Spec.PrefixLength != wanted.Spec.PrefixLength || existing.Spec.PublishedLength != wanted.Spec.PublishedLength
	moved := existing.Spec.Backend != wanted.Spec.Backend || existing.Spec.Pool != wanted.Spec.Pool
	phase := existing.Status.Phase
	_, published := publishedFor(g, existing)
	settled := published || phase == v1alpha1.PhaseBound || phase == v1alpha1.PhaseReleasing || existing.DeletionTimestamp != nil
	if (resized || moved) && !settled {
		if err := r.releaseOne(ctx, t, existing); err != nil {
			return err
		}
		return reservation.Errorf(reservation.Retry, "the Shoot asks for something else by now, and nothing was bound: the reservation is made anew")
	}
	if asked := fmt.Sprintf("%s/%d/%d", wanted.Spec.Scope, wanted.Spec.PrefixLength, wanted.Spec.PublishedLength); resized {
		if last, _ := r.told.Swap(existing.UID, asked); last != asked {
			r.event(existing, corev1.EventTypeWarning, "SizeChanged", "Keep",
				"the Shoot now asks for %s/%d, but a reservation is never resized: %s stays", wanted.Spec.Scope, wanted.Spec.PrefixLength, existing.Status.Allocated)
		}
	}
	return r.regain(ctx, existing)
}

func (r *shootReconciler) newReservation(g *gathered, t tenant, request plan.Request) (*v1alpha1.PrefixReservation, error) {
	shoot := g.cluster.Shoot
	wanted := &v1alpha1.PrefixReservation{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: g.namespace.Name, Finalizers: []string{v1alpha1.FinalizerReservation},
			Annotations: map[string]string{annotationRegion: t.place.Region},
		},
		Spec: v1alpha1.PrefixReservationSpec{
			Range:           v1alpha1.RangeName(request.Range),
			Family:          v1alpha1.IPFamily(request.Family.String()),
			Scope:           v1alpha1.Scope(request.Scope),
			PrefixLength:    int32(request.Bits),          //nolint:gosec // at most 128
			PublishedLength: int32(request.PublishedBits), //nolint:gosec // at most 128
			Owner: v1alpha1.ReservationOwner{
				GardenID: r.Config.GardenID, ShootUID: infrastructure.UID(shoot), Shoot: shoot.Namespace + "/" + shoot.Name,
			},
		},
	}
	wanted.Name = infrastructure.NameOf(&wanted.Spec)
	if request.Scope == plan.Global {
		var err error
		if wanted.Spec.Backend, wanted.Spec.Pool, err = shootplan.IPAM(shoot); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}

// drive takes a reservation that is not bound as far as it goes.
func (r *shootReconciler) drive(ctx context.Context, g *gathered, t tenant, p plan.Plan, object *v1alpha1.PrefixReservation, record reservation.Record) error {
	key := infrastructure.KeyOf(object)
	request, err := r.requestOf(g, p, object)
	if err != nil {
		return err
	}
	reported, isReported := infrastructure.Reported(&g.infra.Status, key)
	if published, ok := publishedFor(g, object); ok {
		return r.restore(ctx, t, p, object, record, request, inUse{published: published, reported: isReported && reported == published})
	}
	var unfit error
	if isReported && adoptable(object, record) {
		// What a backend holds for a reservation that knows nothing of it, one that was removed by force and made anew, is what
		// we once wrote into the Infrastructure ourselves.
		_, ours, err := r.holder(ctx, t, object, record, request)
		if err != nil {
			return err
		}
		if unfit = p.Adoptable(key, reported); unfit == nil && !ours {
			return (&journal{r.kit, object}).Save(ctx, reservation.Record{
				Phase: reservation.Bound, Backend: backendAdopted, Prefix: reported, Attempt: record.Attempt,
			})
		}
	}
	chosen, record, request, err := r.choose(ctx, t, object, record, request)
	if err != nil {
		return unserved(err, request, reported, unfit)
	}
	if err := r.begin(ctx, t, chosen); err != nil {
		return err
	}
	_, err = r.protocol(chosen.reserver, object).Ensure(ctx, record, request)
	return err
}

func (k *kit) protocol(reserver reservation.Reserver, object *v1alpha1.PrefixReservation) *reservation.Protocol {
	return &reservation.Protocol{
		Reserver: reserver, Journal: &journal{k, object}, Owner: infrastructure.OwnerOf(object), Seed: k.Config.SeedName, Failpoint: k.Failpoint,
	}
}

func (r *shootReconciler) requestOf(g *gathered, p plan.Plan, object *v1alpha1.PrefixReservation) (reservation.Request, error) {
	avoid, err := r.avoid(g, p, object)
	return reservation.Request{
		Key: infrastructure.KeyOf(object), Scope: plan.Scope(object.Spec.Scope), Bits: int(object.Spec.PrefixLength),
		Backend: object.Spec.Backend, Pool: object.Spec.Pool, Avoid: avoid,
	}, err
}

// regain takes the reservation of a shoot that came back under control again: its finalizer was dropped when it left.
func (r *shootReconciler) regain(ctx context.Context, object *v1alpha1.PrefixReservation) error {
	_, moved := object.Annotations[v1alpha1.AnnotationMoved]
	if hasFinalizer(object) && !moved || object.DeletionTimestamp != nil {
		return nil
	}
	delete(object.Annotations, v1alpha1.AnnotationMoved)
	controllerutil.AddFinalizer(object, v1alpha1.FinalizerReservation)
	if err := r.client.Update(ctx, object); err != nil {
		return fmt.Errorf("adding the finalizer: %w", err)
	}
	return nil
}

// report writes into the reservation why it does not get on.
func (r *shootReconciler) report(ctx context.Context, g *gathered, object *v1alpha1.PrefixReservation, cause error) error {
	kind := reservation.KindOf(cause)
	next := object.DeepCopy()
	switch {
	case kind.Failed():
		next.Status.Phase = v1alpha1.PhaseFailed
	case next.Status.Attempt == 0:
		next.Status.Phase = v1alpha1.PhasePending
	default:
		next.Status.Phase = v1alpha1.PhaseAllocating
	}
	setBound(next, metav1.ConditionFalse, string(kind), cause.Error())
	told, err := r.updateStatus(ctx, object, next)
	if told && kind.Failed() {
		r.event(next, corev1.EventTypeWarning, string(kind), "Reserve", "%v", cause)
		r.event(g.infra, corev1.EventTypeWarning, string(kind), "Reserve", "%s: %v", object.Name, cause)
	}
	return err
}

// publish writes the Infrastructure's status if the webhook would now make another of it: ranges to merge in, or an
// Infrastructure that was held and can go. It does not hold by itself: that is for what the provider writes.
func (r *shootReconciler) publish(ctx context.Context, g *gathered) error {
	shoot := infrastructure.Of(g.cluster.Shoot, g.cluster.Seed, g.reservations)
	wasHeld := infrastructure.Held(g.infra)
	desired := g.infra.DeepCopy()
	infrastructure.Mutate(desired, shoot)
	if infrastructure.Held(desired) && !wasHeld || equality.Semantic.DeepEqual(desired.Status, g.infra.Status) {
		return nil
	}
	holds := infrastructure.Held(desired)
	if err := r.client.Status().Update(ctx, desired); err != nil {
		return fmt.Errorf("publishing in Infrastructure %s: %w", client.ObjectKeyFromObject(desired), err)
	}
	if !holds && infrastructure.Held(desired) {
		return reservation.Errorf(reservation.Retry, "the webhook still holds Infrastructure %s", client.ObjectKeyFromObject(desired))
	}
	if wasHeld && !holds {
		r.event(desired, corev1.EventTypeNormal, "PrefixesReserved", "Publish", "all prefixes are reserved and published")
	}
	return nil
}
