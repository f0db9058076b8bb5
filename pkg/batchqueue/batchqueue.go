// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package batchqueue brings the names of watched objects to a controller that works on many at a time, because each of its batches
// costs one write of its journal.
package batchqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// Queue of names as the cache keys them: "name", or "namespace/name".
type Queue = workqueue.TypedRateLimitingInterface[string]

// New makes a queue whose metrics bear the name. What fails waits 50 ms to 30 s.
func New(name string) Queue {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 30*time.Second),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: name})
}

// Run calls process, never twice at a time, with up to most names of objects that appeared, changed or went, until the context ends. It
// begins once all were listed. The name first is in the first batches, whether or not there is an object. It shuts the queue down.
func Run(ctx context.Context, q Queue, objects cache.SharedIndexInformer, first string, most int, process func(context.Context, []string)) error {
	enqueue := func(obj any) { add(q, obj) }
	handler, err := objects.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, obj any) { enqueue(obj) },
		DeleteFunc: enqueue,
	})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer func() { _ = objects.RemoveEventHandler(handler) }()
	if !cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
		return errors.New("the objects were not listed in time")
	}
	q.Add(first)
	go func() {
		<-ctx.Done()
		q.ShutDown()
	}()
	for {
		batch := next(q, most)
		if len(batch) == 0 {
			return nil
		}
		process(ctx, batch)
		for _, name := range batch {
			q.Done(name)
		}
	}
}

// add the name of an object, or of a tombstone of the cache: what became of the object is looked up later.
func add(q Queue, obj any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
		q.Add(key)
	}
}

// next waits for one name and takes all others that wait beside it. There is none once the queue is shut down.
func next(q Queue, most int) []string {
	name, shutdown := q.Get()
	if shutdown {
		return nil
	}
	batch := []string{name}
	for len(batch) < most && q.Len() > 0 {
		if name, shutdown = q.Get(); shutdown {
			break
		}
		batch = append(batch, name)
	}
	return batch
}

// Each calls do with 0 to n-1, up to atOnce at a time, and returns the results in order.
func Each[R any](n, atOnce int, do func(int) R) []R {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	results := make([]R, n)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = do(i)
		})
	}
	wg.Wait()
	return results
}
