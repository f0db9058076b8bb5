// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package lbcontroller gives Services of type LoadBalancer their addresses: it watches the Services of a shoot, lets package lbip decide, and
// writes their status. Who tells the world of the addresses is none of its business. Why two Services never get the same, whatever
// crashes or runs beside it, says docs/decisions/0034.
package lbcontroller

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/batchqueue"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

const (
	// Name of the controller: the field manager of what it writes and the source of its events.
	Name = "ipv6-load-balancer"
	// Class is the spec.loadBalancerClass of Services that are ours in any case.
	Class = "ipv6.networking.extensions.gardener.cloud/bgp"
	// AnnotationAddresses asks for certain addresses, at most one a family, comma-separated.
	AnnotationAddresses = "ipv6.networking.extensions.gardener.cloud/load-balancer-ips"
	// AnnotationPool asks for addresses out of a certain pool.
	AnnotationPool = "ipv6.networking.extensions.gardener.cloud/load-balancer-pool"
	// ConditionAllocated is False, with a reason, on a Service that has no address, and True, with a reason other than Allocated, on one
	// that has not the one that it asks for, or shares it. A Service that never had a problem has no such condition.
	ConditionAllocated = "ipv6.networking.extensions.gardener.cloud/AddressesAllocated"
	// JournalName is the ConfigMap that holds the journal.
	JournalName = "ipv6-load-balancer-journal"

	// maxBatch bounds how many Services share one write of the journal.
	maxBatch = 256
	// maxClaims bounds the journal, which has to fit into one object of Kubernetes.
	maxClaims = 4000
	// housekeeping is the key in the queue that stands for no Service.
	housekeeping = ""
	// confirmAfter is how long claims that were carried out may stay in the journal.
	confirmAfter = 10 * time.Second
)

// Options of the controller.
type Options struct {
	// Pools of addresses.
	Pools []nodeprefix.LoadBalancerPool
	// ClassOnly leaves Services without a class to others.
	ClassOnly bool
	// Namespace of the journal.
	Namespace string
}

// Controller is the runnable. All its state belongs to the one goroutine of Start.
type Controller struct {
	options  Options
	client   client.Client
	live     client.Reader
	services cache.SharedIndexInformer
	recorder events.EventRecorder
	metrics  *meters
	log      logr.Logger
	now      func() time.Time

	queue batchqueue.Queue
	// book is nil until it was restored, and again after somebody else wrote the journal.
	book    *lbip.Book
	journal journal
	// reasons are what became of each Service of ours.
	reasons map[string]lbip.Reason
}

// Add puts the controller into the manager, whose client talks to the shoot.
func Add(ctx context.Context, mgr manager.Manager, options Options) error {
	informer, err := mgr.GetCache().GetInformer(ctx, &corev1.Service{})
	if err != nil {
		return fmt.Errorf("watch services: %w", err)
	}
	services, ok := informer.(cache.SharedIndexInformer)
	if !ok {
		return fmt.Errorf("watch services: %T is no shared informer", informer)
	}
	return mgr.Add(&Controller{
		options:  options,
		client:   mgr.GetClient(),
		live:     mgr.GetAPIReader(),
		services: services,
		recorder: mgr.GetEventRecorder(Name),
		metrics:  newMeters(metrics.Registry),
		log:      mgr.GetLogger().WithName("load-balancer"),
		now:      time.Now,
	})
}

// NeedLeaderElection makes all but one replica wait. It saves work only: that no address is given twice rests on the journal.
func (c *Controller) NeedLeaderElection() bool { return true }

// Start runs until the context ends.
func (c *Controller) Start(ctx context.Context) error {
	c.queue = batchqueue.New(Name)
	c.reasons = map[string]lbip.Reason{}
	if err := batchqueue.Run(ctx, c.queue, c.services, housekeeping, maxBatch, c.process); err != nil {
		return fmt.Errorf("services: %w", err)
	}
	return nil
}
