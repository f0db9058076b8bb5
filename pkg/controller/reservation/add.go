// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package reservation turns what a shoot's plan requests into PrefixReservations, drives each to a prefix that is held, writes
// the ranges into the Infrastructure's status and gives everything back when the shoot is gone.
//
// A reconciliation is that of one shoot's namespace and reads as gather, decide, apply (gather.go, decide.go, and ensure.go,
// release.go or migrate.go). What was released waits in the extension's own namespace for the end of its quarantine
// (quarantine.go); what nobody wants any more is collected (garbage.go).
package reservation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const (
	// ControllerName of the controller that serves shoots.
	ControllerName = "prefixreservation"
	// QuarantineControllerName of the controller that ends quarantines.
	QuarantineControllerName = "prefixquarantine"

	retryFirst = 200 * time.Millisecond
	retryMax   = 2 * time.Minute

	// reconcileTimeout ends what waits for a silent service, so that the shoots of others get their turn.
	reconcileTimeout = 3 * time.Minute
	// lastWords is how much longer it may take then to write down why.
	lastWords = 10 * time.Second

	// forcedPatience is how long a service may be silent before a Shoot that is deleted by force goes without it.
	forcedPatience = 10 * time.Minute

	defaultGarbageInterval = 10 * time.Minute
	defaultGarbageAge      = time.Hour
	defaultKeepInterval    = 10 * time.Minute
)

// holderField indexes the reservations by their owner without the attempt.
const holderField = "holder"

// Options of the controller.
type Options struct {
	// Config is the component's configuration, of which the garden's identity and the quarantine are used here.
	Config *configv1alpha1.ControllerConfiguration
	// Namespace is the extension's own namespace. Released prefixes wait there for the end of their quarantine.
	Namespace string
	// Backends in the order in which they are asked.
	Backends []reservation.Backend
	// Controller tunes the workers and the backoff.
	Controller controller.Options
	// Garbage says what becomes of prefixes that nobody wants; they are freed if it is empty.
	Garbage GarbageMode
	// KeepInterval is how often a service is asked whether it still holds what is bound; ten minutes if zero.
	KeepInterval time.Duration
	// MeterInterval is how often the backends are asked how full they are; a minute if zero.
	MeterInterval time.Duration
	// GarbageInterval is how often allocations that nobody wants are looked for; ten minutes if zero. One is freed when it is
	// older than GarbageAge, an hour if zero, and was seen in three sweeps.
	GarbageInterval, GarbageAge time.Duration
	// Failpoint, if set, is called at the named points of the protocol. Tests kill the process there.
	Failpoint func(point string)
}

func (o *Options) complete() error {
	switch {
	case o.Config == nil:
		return fmt.Errorf("%s: no configuration", ControllerName)
	case !slices.Contains([]GarbageMode{"", GarbageOn, GarbageDryRun, GarbageOff}, o.Garbage):
		return fmt.Errorf("%s: garbage collection %q: want %s, %s or %s", ControllerName, o.Garbage, GarbageOn, GarbageDryRun, GarbageOff)
	case o.Namespace == "":
		return fmt.Errorf("%s: the extension's own namespace is not known", ControllerName)
	}
	o.Controller.ReconciliationTimeout = cmp.Or(o.Controller.ReconciliationTimeout, reconcileTimeout)
	o.Garbage = cmp.Or(o.Garbage, GarbageOn)
	o.GarbageInterval = cmp.Or(o.GarbageInterval, defaultGarbageInterval)
	o.GarbageAge = cmp.Or(o.GarbageAge, defaultGarbageAge)
	o.KeepInterval = cmp.Or(o.KeepInterval, defaultKeepInterval)
	o.MeterInterval = cmp.Or(o.MeterInterval, defaultMeterInterval)
	return nil
}

func (o *Options) quarantine() time.Duration {
	if o.Config.Quarantine == nil {
		return configv1alpha1.DefaultQuarantine
	}
	return o.Config.Quarantine.Duration
}

func (o *Options) fail(point string) {
	if o.Failpoint != nil {
		o.Failpoint(point)
	}
}

// kit is what the controllers of this package share.
type kit struct {
	Options
	// client reads from the cache and writes; live reads from the API server.
	client   client.Client
	live     client.Reader
	recorder events.EventRecorder
	now      func() time.Time

	accounts  *accounts
	inventory *inventory
	fill      *fill
}

// AddToManager adds the controllers to the manager. Its scheme must know Gardener's extension types and this project's.
func AddToManager(ctx context.Context, mgr manager.Manager, opts Options) error {
	if err := opts.complete(); err != nil {
		return err
	}
	k := &kit{
		Options: opts, client: mgr.GetClient(), live: mgr.GetAPIReader(),
		recorder: mgr.GetEventRecorder("networking-ipv6-" + ControllerName), now: time.Now,
		accounts: newAccounts(opts.Backends, mgr.GetAPIReader()), inventory: newInventory(),
	}
	k.fill = &fill{kit: k, usages: map[string][]reservation.Usage{}}
	byHolder := func(obj client.Object) []string {
		r, ok := obj.(*v1alpha1.PrefixReservation)
		if !ok {
			return nil
		}
		return []string{holderOf(r).Key()}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.PrefixReservation{}, holderField, byHolder); err != nil {
		return fmt.Errorf("indexing the PrefixReservations: %w", err)
	}
	if err := k.inventory.watch(ctx, mgr.GetCache()); err != nil {
		return err
	}
	if err := k.addShoots(mgr); err != nil {
		return fmt.Errorf("adding controller %s: %w", ControllerName, err)
	}
	if err := k.addQuarantine(mgr); err != nil {
		return fmt.Errorf("adding controller %s: %w", QuarantineControllerName, err)
	}
	for _, runnable := range []manager.Runnable{newGarbageCollector(k), k.fill} {
		if err := mgr.Add(runnable); err != nil {
			return fmt.Errorf("adding %T: %w", runnable, err)
		}
	}
	return registerMetrics(k)
}

func (k *kit) addShoots(mgr manager.Manager) error {
	options := k.Controller
	if options.RateLimiter == nil {
		options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryMax)
	}
	byNamespace := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
		if obj.GetNamespace() == k.Namespace {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: obj.GetNamespace()}}}
	})
	byName := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: obj.GetName()}}}
	})
	return builder.ControllerManagedBy(mgr).
		Named(ControllerName).
		WithOptions(options).
		Watches(&extensionsv1alpha1.Infrastructure{}, byNamespace, builder.WithPredicates(beyondOurWords())).
		Watches(&v1alpha1.PrefixReservation{}, byNamespace, builder.WithPredicates(beyondConditions())).
		Watches(&extensionsv1alpha1.Cluster{}, byName).
		Watches(&corev1.Namespace{}, byName).
		Complete(&shootReconciler{kit: k, rounds: rounds{interval: k.KeepInterval, now: k.now, due: map[types.UID]time.Time{}}})
}

func (k *kit) addQuarantine(mgr manager.Manager) error {
	// A reservation of a shoot wakes its tombstones, too, of whatever attempt: the shoot may have come back.
	tombstones := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		res, ok := obj.(*v1alpha1.PrefixReservation)
		if !ok || res.Namespace == k.Namespace {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(obj)}}
		}
		return k.tombstonesOf(ctx, res)
	})
	return builder.ControllerManagedBy(mgr).
		Named(QuarantineControllerName).
		Watches(&v1alpha1.PrefixReservation{}, tombstones, builder.WithPredicates(beyondConditions())).
		WithOptions(controller.Options{
			SkipNameValidation:      k.Controller.SkipNameValidation,
			MaxConcurrentReconciles: k.Controller.MaxConcurrentReconciles,
			ReconciliationTimeout:   k.Controller.ReconciliationTimeout,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryMax),
		}).
		Complete(&quarantineReconciler{kit: k})
}
