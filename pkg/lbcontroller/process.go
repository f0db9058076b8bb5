// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbcontroller

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/batchqueue"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
)

// parallelWrites of Services; the journal was written before, so their order does not matter.
const parallelWrites = 8

// task is what was decided about one Service, at the version that was decided on.
type task struct {
	service  *corev1.Service
	decision lbip.Decision
}

// process gathers what became of the Services, decides, and applies: first the journal, then the Services.
func (c *Controller) process(ctx context.Context, batch []string) {
	if err := c.restore(ctx); err != nil {
		c.retry(ctx, batch, "restore", err)
		return
	}
	tasks := c.decide(c.gather(ctx, batch))
	if err := c.writeJournal(ctx); err != nil {
		c.retry(ctx, batch, "journal", err)
		return
	}
	c.apply(ctx, tasks)
	c.metrics.observe(c.book.Usage(), c.reasons)
}

// gather brings the book up to date and returns the Services that exist.
func (c *Controller) gather(ctx context.Context, batch []string) []*corev1.Service {
	var services []*corev1.Service
	freed := false
	for _, name := range batch {
		if name == housekeeping {
			continue
		}
		svc, err := c.service(ctx, name)
		if err != nil {
			c.retry(ctx, []string{name}, "service", err)
			continue
		}
		if svc == nil {
			freed = c.book.Delete(name) || freed
			delete(c.reasons, name)
			c.queue.Forget(name)
			continue
		}
		s, err := c.serviceOf(svc)
		if err != nil {
			c.retry(ctx, []string{name}, "service", err)
			continue
		}
		freed = c.book.Set(s) || freed
		services = append(services, svc)
	}
	if freed {
		c.wake()
	}
	return services
}

// service is the Service at the newest version that is known; nil if there is none. The cache may be older than the book, which was
// made from what the API server had: then, and before an address is freed because a Service is gone, the API server is asked.
func (c *Controller) service(ctx context.Context, name string) (*corev1.Service, error) {
	obj, ok, err := c.services.GetStore().GetByKey(name)
	if err != nil {
		return nil, fmt.Errorf("look up Service %s: %w", name, err)
	}
	known := c.book.Version(name)
	if svc, is := obj.(*corev1.Service); ok && is {
		if version, err := strconv.ParseUint(svc.ResourceVersion, 10, 64); err == nil && version >= known {
			return svc, nil
		}
	} else if known == 0 {
		return nil, nil
	}
	namespace, short, err := cache.SplitMetaNamespaceKey(name)
	if err != nil {
		return nil, err
	}
	svc := &corev1.Service{}
	if err := c.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: short}, svc); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("read Service %s: %w", name, err)
	}
	return svc, nil
}

// wake lets those try again that wait for an address of somebody else.
func (c *Controller) wake() {
	for name, reason := range c.reasons {
		if reason == lbip.ReasonPoolExhausted || reason == lbip.ReasonAddressNotAvailable || reason == lbip.ReasonAddressConflict {
			c.queue.Add(name)
		}
	}
}

// decide asks the book, about those that ask for certain addresses first: any other will do for the rest.
func (c *Controller) decide(services []*corev1.Service) []task {
	slices.SortStableFunc(services, func(a, b *corev1.Service) int {
		if x, y := asks(a), asks(b); x != y {
			return map[bool]int{true: -1, false: 1}[x]
		}
		return strings.Compare(nameOf(a), nameOf(b))
	})
	var tasks []task
	for _, svc := range services {
		if c.book.Claims() >= maxClaims {
			c.queue.AddRateLimited(nameOf(svc))
			continue
		}
		d := c.book.For(nameOf(svc))
		c.journal.dirty = c.journal.dirty || d.New
		tasks = append(tasks, task{svc, d})
	}
	return tasks
}

func asks(svc *corev1.Service) bool {
	return svc.Annotations[AnnotationAddresses] != "" || svc.Spec.LoadBalancerIP != ""
}

// apply writes several Services at a time.
func (c *Controller) apply(ctx context.Context, tasks []task) {
	results := batchqueue.Each(len(tasks), parallelWrites, func(i int) result { return c.write(ctx, tasks[i]) })
	freed := false
	for i, r := range results {
		name := nameOf(tasks[i].service)
		if r.err != nil {
			c.retry(ctx, []string{name}, "service", r.err)
			continue
		}
		c.queue.Forget(name)
		if r.reason == "" {
			delete(c.reasons, name)
		} else {
			c.reasons[name] = r.reason
		}
		if r.written == nil {
			continue
		}
		if s, err := c.serviceOf(r.written); err == nil {
			freed = c.book.Set(s) || freed
		}
	}
	if freed {
		c.wake()
	}
}

// retry puts the names back after a failure of the given operation.
func (c *Controller) retry(ctx context.Context, names []string, operation string, err error) {
	if ctx.Err() != nil {
		return
	}
	c.log.Error(err, "Will try again", "operation", operation, "services", len(names))
	c.metrics.errors.WithLabelValues(operation).Inc()
	for _, name := range names {
		c.queue.AddRateLimited(name)
	}
}
