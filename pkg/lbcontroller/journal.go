// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbcontroller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/configjournal"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
)

// journal is the ConfigMap as it was last read or written.
type journal struct {
	// object has the resourceVersion that the next write insists on; none if there is no ConfigMap yet.
	object *corev1.ConfigMap
	// claims in it.
	claims int
	// dirty: something was decided that must not be acted on before it is written.
	dirty bool
	// stale: it holds claims that are void. They do no harm, so that is written when there is time.
	stale bool
	since time.Time
}

// restore reads the journal and then, in this order, all Services, both from the API server itself and not from a cache. Whatever
// another replica claimed before it wrote a Service is in one of the two; what it claims after makes our next write conflict.
func (c *Controller) restore(ctx context.Context) error {
	if c.book != nil {
		return nil
	}
	object, err := configjournal.Read(ctx, c.live, c.options.Namespace, JournalName)
	if err != nil {
		return err
	}
	j, err := lbip.DecodeJournal(configjournal.Text(object))
	if err != nil {
		return fmt.Errorf("ConfigMap %s/%s is damaged, nothing is allocated until it is repaired or deleted: %w", object.Namespace, object.Name, err)
	}
	var list corev1.ServiceList
	if err := c.live.List(ctx, &list); err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	var services []lbip.Service
	for i := range list.Items {
		s, err := c.serviceOf(&list.Items[i])
		if err != nil {
			return err
		}
		services = append(services, s)
	}
	c.book = lbip.Restore(c.options.Pools, j, services)
	c.journal = journal{object: object, claims: len(j.Claims)}
	c.log.Info("Restored", "services", len(services), "claims", c.book.Claims())
	// A claim may be of a Service that nothing happens to any more.
	for _, claim := range j.Claims {
		c.queue.Add(claim.Service)
	}
	return nil
}

// writeJournal makes the book's claims ours, or fails: then no Service may be written. It insists on the version that was read; if
// somebody else wrote meanwhile, the book is made anew.
func (c *Controller) writeJournal(ctx context.Context) error {
	if !c.journal.dirty && !c.housekeep() {
		return nil
	}
	j := c.book.Journal()
	text, err := lbip.EncodeJournal(j)
	if err != nil {
		return err
	}
	object, outdated, err := configjournal.Write(ctx, c.client, c.journal.object, text, Name)
	if err != nil {
		if outdated {
			c.book = nil
		}
		return err
	}
	c.journal = journal{object: object, claims: len(j.Claims)}
	return nil
}

// housekeep tells whether it is time to drop claims that are void.
func (c *Controller) housekeep() bool {
	if c.book.Claims() >= c.journal.claims {
		return false
	}
	if !c.journal.stale {
		c.journal.stale = true
		c.journal.since = c.now()
		c.queue.AddAfter(housekeeping, confirmAfter)
		return false
	}
	wait := confirmAfter - c.now().Sub(c.journal.since)
	if wait > 0 {
		// One that waits already is of an earlier journal, and comes before its time.
		c.queue.AddAfter(housekeeping, wait)
	}
	return wait <= 0
}
