// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ipamcontroller gives every node of a shoot its pod ranges: it watches the nodes, lets package nodeprefix decide, and writes
// Node.spec.podCIDRs once. Why two nodes never get the same, whatever crashes or runs beside it, says docs/decisions/0030.
package ipamcontroller

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
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

const (
	// Name of the controller: the field manager of what it writes and the source of its events.
	Name = "ipv6-ipam-controller"
	// AnnotationNodePrefix is a node's own prefix, one a family, comma-separated, in the order of its podCIDRs.
	AnnotationNodePrefix = "ipv6.networking.extensions.gardener.cloud/node-prefix"
	// ConditionPodCIDRsAssigned is False, with a reason, on a node that has no pod ranges or wrong ones. A node that never had a
	// problem has no such condition.
	ConditionPodCIDRsAssigned corev1.NodeConditionType = "PodCIDRsAssigned"
	// JournalName is the ConfigMap that holds the journal.
	JournalName = "ipv6-ipam-journal"
	// DefaultQuarantine is how long the prefix of a deleted node is kept from reuse.
	DefaultQuarantine = time.Hour

	// maxBatch bounds how many nodes share one write of the journal.
	maxBatch = 256
	// housekeeping is the key in the queue that stands for no node.
	housekeeping = ""
	// confirmAfter is how long claims that were carried out may stay in the journal.
	confirmAfter = 10 * time.Second
)

// Options of the controller.
type Options struct {
	// Config says how prefixes are cut.
	Config nodeprefix.Config
	// Namespace of the journal.
	Namespace string
	// Quarantine of the prefixes of deleted nodes.
	Quarantine time.Duration
}

// Controller is the runnable. All its state belongs to the one goroutine of run.
type Controller struct {
	options  Options
	client   client.Client
	live     client.Reader
	nodes    cache.SharedIndexInformer
	recorder events.EventRecorder
	metrics  *meters
	log      logr.Logger
	now      func() time.Time

	queue batchqueue.Queue
	// book is nil until it was restored, and again after somebody else wrote the journal.
	book    *nodeprefix.Book
	journal journal
	// state of each node, to tell of changes only.
	states map[string]state
}

// Add puts the controller into the manager, whose client talks to the shoot.
func Add(ctx context.Context, mgr manager.Manager, options Options) error {
	if err := options.Config.Validate(); err != nil {
		return err
	}
	informer, err := mgr.GetCache().GetInformer(ctx, &corev1.Node{})
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	nodes, ok := informer.(cache.SharedIndexInformer)
	if !ok {
		return fmt.Errorf("watch nodes: %T is no shared informer", informer)
	}
	return mgr.Add(&Controller{
		options:  options,
		client:   mgr.GetClient(),
		live:     mgr.GetAPIReader(),
		nodes:    nodes,
		recorder: mgr.GetEventRecorder(Name),
		metrics:  newMeters(metrics.Registry),
		log:      mgr.GetLogger().WithName("ipam"),
		now:      time.Now,
	})
}

// NeedLeaderElection makes all but one replica wait. It saves work only: that prefixes never overlap rests on the journal.
func (c *Controller) NeedLeaderElection() bool { return true }

// Start runs until the context ends.
func (c *Controller) Start(ctx context.Context) error {
	c.queue = batchqueue.New(Name)
	c.states = map[string]state{}
	if err := batchqueue.Run(ctx, c.queue, c.nodes, housekeeping, maxBatch, c.process); err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	return nil
}
