// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// cluster of Nodes that are nothing but objects.
type cluster struct {
	client kubernetes.Interface
	size   int
	// prefixes given out so far, and the number of the next one: none is given twice.
	prefixes int
	// next Node to be changed.
	next int

	mu sync.Mutex
	// numbers of the Nodes as they are now.
	numbers map[string]int
}

func newCluster(env *envtest.Environment) (*cluster, error) {
	config := rest.CopyConfig(env.Config)
	config.QPS = -1 // the kubelets are many
	client, err := kubernetes.NewForConfig(config)
	return &cluster{client: client, prefixes: 1, numbers: map[string]int{}}, err
}

// grow to the size.
func (c *cluster) grow(ctx context.Context, size int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(20)
	for ; c.size < size; c.size++ {
		name, i := fmt.Sprintf("node-%d", c.size), c.prefixes
		c.prefixes++
		g.Go(func() error { return c.join(ctx, name, i) })
	}
	return g.Wait()
}

// others than the agent's own, each as what the agent has of it.
func (c *cluster) others(has func(i int) string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for name, i := range c.numbers {
		if name != own {
			all = append(all, has(i))
		}
	}
	return all
}

func prefixOf(i int) string  { return fmt.Sprintf("2001:db8:2:%x::/96", i) }
func addressOf(i int) string { return fmt.Sprintf("%s%x", link, i) }

// join makes a Node as its kubelet and the IPAM controller do, only in fewer steps.
func (c *cluster) join(ctx context.Context, name string, i int) error {
	c.mu.Lock()
	c.numbers[name] = i
	c.mu.Unlock()
	podCIDR := fmt.Sprintf("2001:db8:2:%x::d000:0/100", i)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: podCIDR, PodCIDRs: []string{podCIDR}}}
	node, err := c.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	node.Status = status(addressOf(i))
	_, err = c.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

// status is about as large as a real one.
func status(address string) corev1.NodeStatus {
	s := corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}}
	for _, t := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		s.Conditions = append(s.Conditions, corev1.NodeCondition{Type: t, Status: corev1.ConditionFalse, LastHeartbeatTime: metav1.Now(), Message: "kubelet has said so"})
	}
	for i := range 50 {
		s.Images = append(s.Images, corev1.ContainerImage{Names: []string{fmt.Sprintf("registry.example.com/some/image/with/a/name-%d:v1.2.3", i)}, SizeBytes: 1 << 20})
	}
	return s
}

// replace one Node after the other by one with another prefix; began gets when the request was made that the agent waits for, by what it
// will have then.
func (c *cluster) replace(ctx context.Context, rate int, seconds time.Duration, has func(i int) string) (began map[string]time.Time, err error) {
	began = map[string]time.Time{}
	err = c.paced(ctx, rate, seconds, func(ctx context.Context, name string) error {
		if err := c.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			return err
		}
		c.mu.Lock()
		i := c.prefixes
		c.prefixes++
		began[has(i)] = time.Now()
		c.mu.Unlock()
		return c.join(ctx, name, i)
	})
	return began, err
}

// beat writes the status of one Node after the other, as kubelets do, with nothing in it that the agent cares about.
func (c *cluster) beat(ctx context.Context, rate int, seconds time.Duration) error {
	return c.paced(ctx, rate, seconds, func(ctx context.Context, name string) error {
		patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q,"message":%q}]}}`,
			time.Now().UTC().Format(time.RFC3339), time.Now())
		_, err := c.client.CoreV1().Nodes().PatchStatus(ctx, name, []byte(patch))
		return err
	})
}

// paced does something to one Node after the other, but the agent's own, at the rate.
func (c *cluster) paced(ctx context.Context, rate int, seconds time.Duration, do func(ctx context.Context, name string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for range int(seconds.Seconds() * float64(rate)) {
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-tick.C:
		}
		name := fmt.Sprintf("node-%d", 1+c.next%(c.size-1))
		c.next++
		g.Go(func() error { return do(ctx, name) })
	}
	return g.Wait()
}
