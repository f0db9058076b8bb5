// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipamcontroller

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/batchqueue"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// parallelWrites of nodes; the journal was written before, so their order does not matter.
const parallelWrites = 8

// taintUninitialized is on a node until the cloud controller manager, if there is one, knows and has labelled it.
const taintUninitialized = "node.cloudprovider.kubernetes.io/uninitialized"

// task is what was decided about one node.
type task struct {
	node     *corev1.Node
	decision nodeprefix.Decision
	origin   nodeprefix.Origin
}

// process gathers what became of the nodes, decides, and applies: first the journal, then the nodes.
func (c *Controller) process(ctx context.Context, batch []string) {
	if err := c.restore(ctx); err != nil {
		c.retry(ctx, batch, "restore", err)
		return
	}
	c.expire()
	tasks := c.decide(batch)
	for _, name := range c.book.Retry() {
		c.queue.Add(name)
	}
	if err := c.writeJournal(ctx); err != nil {
		c.retry(ctx, batch, "journal", err)
		return
	}
	c.apply(ctx, tasks)
	if next := c.book.NextExpiry(); !next.IsZero() {
		c.queue.AddAfter(housekeeping, next.Sub(c.now()))
	}
	c.metrics.observe(c.book.Usage(), c.states)
}

// expire ends quarantines and lets the nodes try again that waited for it.
func (c *Controller) expire() {
	if !c.book.Expire(c.now()) {
		return
	}
	for name, s := range c.states {
		if s.reason == nodeprefix.ReasonCIDRNotAvailable {
			c.queue.Add(name)
		}
	}
}

// decide brings the book up to date and asks it.
func (c *Controller) decide(batch []string) []task {
	until := c.now().Add(c.options.Quarantine)
	var names []string
	nodes := map[string]*corev1.Node{}
	// All are entered before the first is decided on: a node's address must not end up in the prefix of another of its batch.
	for _, name := range batch {
		if name == housekeeping {
			continue
		}
		node, ok := c.cached(name)
		if !ok {
			if c.book.Delete(name, until) {
				c.journal.dirty = true
			}
			delete(c.states, name)
			continue
		}
		if c.book.Set(nodeOf(node), until) {
			c.journal.dirty = true
			delete(c.states, name)
		}
		names = append(names, name)
		nodes[name] = node
	}
	// The older node first: it is the one that gets what two of them report.
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(nodes[a].CreationTimestamp.Compare(nodes[b].CreationTimestamp.Time), strings.Compare(a, b))
	})
	var tasks []task
	for _, name := range names {
		d := c.book.For(name)
		if d.Verdict == nodeprefix.Assign && !c.journal.claimed[string(nodes[name].UID)] {
			c.journal.dirty = true
		}
		tasks = append(tasks, task{nodes[name], d, c.book.Origin(name)})
	}
	return tasks
}

func (c *Controller) cached(name string) (*corev1.Node, bool) {
	obj, ok, err := c.nodes.GetStore().GetByKey(name)
	if err != nil || !ok {
		return nil, false
	}
	node, ok := obj.(*corev1.Node)
	return node, ok
}

// apply carries out what was decided, several nodes at a time.
func (c *Controller) apply(ctx context.Context, tasks []task) {
	results := batchqueue.Each(len(tasks), parallelWrites, func(i int) result { return c.write(ctx, tasks[i]) })
	for i, r := range results {
		name := tasks[i].node.Name
		if r.err != nil {
			c.retry(ctx, []string{name}, "node", r.err)
			continue
		}
		c.queue.Forget(name)
		if r.state != nil {
			c.states[name] = *r.state
		}
	}
}

// retry puts the names back after a failure of the given operation.
func (c *Controller) retry(ctx context.Context, names []string, operation string, err error) {
	if ctx.Err() != nil {
		return
	}
	c.log.Error(err, "Will try again", "operation", operation, "nodes", len(names))
	c.metrics.errors.WithLabelValues(operation).Inc()
	for _, name := range names {
		c.queue.AddRateLimited(name)
	}
}

// nodeOf takes from a node what the decision depends on.
func nodeOf(node *corev1.Node) nodeprefix.Node {
	n := nodeprefix.Node{
		Name: node.Name, UID: string(node.UID), Created: node.CreationTimestamp.Time, Labels: node.Labels,
		LabelsPending: slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == taintUninitialized }),
		Report:        node.Annotations[nodeprefix.AnnotationReportedPrefix],
		ReportSource:  node.Annotations[nodeprefix.AnnotationPrefixSource],
	}
	for _, a := range node.Status.Addresses {
		// Host names are addresses too in a Node; only IPs parse.
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			n.Addresses = append(n.Addresses, addr.Unmap().WithZone(""))
		}
	}
	for _, text := range node.Spec.PodCIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			n.PodCIDRs = append(n.PodCIDRs, p.Masked())
		}
	}
	for text := range strings.SplitSeq(node.Annotations[AnnotationNodePrefix], ",") {
		if p, err := netip.ParsePrefix(text); err == nil && p == p.Masked() {
			n.Prefixes = append(n.Prefixes, p)
		}
	}
	return n
}

func joined(ps []netip.Prefix) string {
	text := ""
	for i, p := range ps {
		if i > 0 {
			text += ","
		}
		text += p.String()
	}
	return text
}

func stringsOf(ps []netip.Prefix) (texts []string) {
	for _, p := range ps {
		texts = append(texts, p.String())
	}
	return texts
}
