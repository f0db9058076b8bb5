// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipamcontroller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/configjournal"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// journal is the ConfigMap as it was last read or written.
type journal struct {
	// object has the resourceVersion that the next write insists on; none if there is no ConfigMap yet.
	object *corev1.ConfigMap
	// claimed are the UIDs of the nodes with a claim in it.
	claimed map[string]bool
	// dirty: something was decided that must not be acted on before it is written.
	dirty bool
	// stale: it holds claims that were carried out. They do no harm, so that is written when there is time.
	stale bool
	since time.Time
	// lost are the quarantines of a journal that could not be written because somebody else had.
	lost []nodeprefix.Tombstone
}

// restore reads the journal and then, in this order, all nodes, both from the API server itself and not from a cache. Whatever
// another replica claimed before it wrote a node is in one of the two; what it claims after makes our next write conflict.
func (c *Controller) restore(ctx context.Context) error {
	if c.book != nil {
		return nil
	}
	object, err := configjournal.Read(ctx, c.live, c.options.Namespace, JournalName)
	if err != nil {
		return err
	}
	j, err := nodeprefix.DecodeJournal(configjournal.Text(object))
	if err != nil {
		return fmt.Errorf("ConfigMap %s/%s is damaged, nothing is assigned until it is repaired or deleted: %w", object.Namespace, object.Name, err)
	}
	var list corev1.NodeList
	if err := c.live.List(ctx, &list); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var nodes []nodeprefix.Node
	for i := range list.Items {
		nodes = append(nodes, nodeOf(&list.Items[i]))
	}
	c.book = nodeprefix.Restore(c.options.Config, j, nodes, c.now().Add(c.options.Quarantine))
	kept := c.book.Journal().Tombstones
	for _, t := range c.journal.lost {
		if t.Until.After(c.now()) && !slices.ContainsFunc(kept, func(o nodeprefix.Tombstone) bool { return o.Prefix == t.Prefix && o.Node == t.Node }) {
			c.book.Quarantine(t)
		}
	}
	c.journal = journal{object: object, claimed: claimed(j)}
	restored := c.book.Journal()
	// A claim of a node that is gone has become a quarantine, which begins now and has to be kept.
	c.journal.dirty = len(restored.Tombstones) != len(j.Tombstones)
	c.log.Info("Restored", "nodes", len(nodes), "claims", len(restored.Claims), "quarantined", len(restored.Tombstones))
	// A claim may be of a node that nothing happens to any more.
	for _, claim := range restored.Claims {
		c.queue.Add(claim.Node)
	}
	return nil
}

// writeJournal makes the book's claims ours, or fails: then nothing may be written to any node. It insists on the version that was
// read; if somebody else wrote meanwhile, the book is made anew.
func (c *Controller) writeJournal(ctx context.Context) error {
	j := c.book.Journal()
	if !c.journal.dirty && !c.housekeep(j) {
		return nil
	}
	text, err := nodeprefix.EncodeJournal(j)
	if err != nil {
		return err
	}
	object, outdated, err := configjournal.Write(ctx, c.client, c.journal.object, text, Name)
	if err != nil {
		if outdated {
			c.book, c.journal.lost = nil, j.Tombstones // the nodes that tell of them are gone
		}
		return err
	}
	c.journal = journal{object: object, claimed: claimed(j)}
	return nil
}

// housekeep tells whether it is time to drop claims that were carried out.
func (c *Controller) housekeep(j nodeprefix.Journal) bool {
	if len(j.Claims) >= len(c.journal.claimed) {
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

func claimed(j nodeprefix.Journal) map[string]bool {
	uids := map[string]bool{}
	for _, c := range j.Claims {
		uids[c.UID] = true
	}
	return uids
}
