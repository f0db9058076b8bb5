// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package batchqueue_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	fcache "k8s.io/client-go/tools/cache/testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/batchqueue"
)

func node(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }

func TestRun(t *testing.T) {
	g := NewWithT(t)
	source := fcache.NewFakeControllerSource()
	for i := range 5 {
		source.Add(node(fmt.Sprint("n", i)))
	}
	informer := cache.NewSharedIndexInformer(source, &corev1.Node{}, 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go informer.RunWithContext(ctx)

	var mu sync.Mutex
	var batches [][]string
	names := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Sorted(slices.Values(slices.Concat(batches...)))
	}
	ended := make(chan error)
	go func() {
		ended <- batchqueue.Run(ctx, batchqueue.New("test"), informer, "first", 2, func(_ context.Context, batch []string) {
			mu.Lock()
			defer mu.Unlock()
			batches = append(batches, batch)
		})
	}()
	g.Eventually(names).Should(Equal([]string{"first", "n0", "n1", "n2", "n3", "n4"}))
	for _, b := range batches {
		g.Expect(len(b)).To(BeNumerically("<=", 2))
	}
	source.Delete(node("n3"))
	g.Eventually(names).Should(Equal([]string{"first", "n0", "n1", "n2", "n3", "n3", "n4"}), "what went is told of, too")
	cancel()
	g.Eventually(ended).Should(Receive(BeNil()))
}

func TestRunEndsBeforeAnythingIsListed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	informer := cache.NewSharedIndexInformer(fcache.NewFakeControllerSource(), &corev1.Node{}, 0, nil)
	err := batchqueue.Run(ctx, batchqueue.New("test"), informer, "first", 2, func(context.Context, []string) { t.Error("called") })
	NewWithT(t).Expect(err).To(MatchError("the objects were not listed in time"))
}

func TestEach(t *testing.T) {
	g := NewWithT(t)
	var mu sync.Mutex
	now, most := 0, 0
	results := batchqueue.Each(20, 3, func(i int) int {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		defer func() {
			mu.Lock()
			now--
			mu.Unlock()
		}()
		return i * i
	})
	g.Expect(results).To(HaveLen(20))
	g.Expect(results[19]).To(Equal(361))
	g.Expect(most).To(BeNumerically("<=", 3))
}
