// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ipam_test runs ipv6-ipam-controller, the program, against a real kube-apiserver.
package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	annotation = "ipv6.networking.extensions.gardener.cloud/node-prefix"
	condition  = "PodCIDRsAssigned"
	soon       = 60 * time.Second
	often      = 50 * time.Millisecond
)

var (
	// binary is the program under test, built by TestMain.
	binary string
	// apiServer serves all tests, one after the other; start empties it.
	apiServer *envtest.Environment
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (code int, err error) {
	log.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "ipam-test-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "ipv6-ipam-controller")
	build := exec.Command("go", "build", "-o", binary, "../../../cmd/ipv6-ipam-controller")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return 0, err
	}
	if apiServer, err = envtest.New(envtest.WithServiceRange("fd00:10::/108,10.0.0.0/24")); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, apiServer.Stop()) }()
	return m.Run(), nil
}

// cluster is a kube-apiserver with helpers in the words of these tests.
type cluster struct {
	*envtest.Environment
	t testing.TB
	*WithT
	kubeconfig string
}

// start gives the test a cluster in which nothing happened yet.
func start(t *testing.T) *cluster {
	t.Helper()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(soon)
	g.SetDefaultEventuallyPollingInterval(often)
	for _, obj := range []client.Object{&corev1.Node{}, &corev1.Event{}, &corev1.ConfigMap{}, &coordinationv1.Lease{}} {
		var opts []client.DeleteAllOfOption
		switch obj.(type) {
		case *corev1.Event:
			opts = append(opts, client.InNamespace("default"))
		case *corev1.ConfigMap, *coordinationv1.Lease:
			opts = append(opts, client.InNamespace("kube-system"))
		}
		g.Expect(apiServer.Client.DeleteAllOf(context.Background(), obj, opts...)).To(Succeed())
	}
	return &cluster{Environment: apiServer, t: t, WithT: g, kubeconfig: apiServer.KubeconfigFile(t)}
}

func v6(nodeBits, podBits int) nodeprefix.Range {
	return nodeprefix.Range{
		Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:1:2::/64"), NodeBits: nodeBits, PodBits: podBits, PodChild: 0xd, HoldsNodes: true,
	}
}

// program is a running ipv6-ipam-controller.
type program struct {
	cmd  *exec.Cmd
	log  *strings.Builder
	mu   *sync.Mutex
	done chan struct{}
}

// run starts the program as an operator would. It is killed at the end of the test if it still runs.
func (c *cluster) run(config nodeprefix.Config, args ...string) *program {
	return c.runAs(c.kubeconfig, config, args...)
}

func (c *cluster) runAs(kubeconfig string, config nodeprefix.Config, args ...string) *program {
	c.t.Helper()
	data, err := nodeprefix.Encode(config)
	c.Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(c.t.TempDir(), "config.json")
	c.Expect(os.WriteFile(file, data, 0o600)).To(Succeed())
	p := &program{log: &strings.Builder{}, mu: &sync.Mutex{}, done: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{
		"--kubeconfig", kubeconfig, "--config", file, "--metrics-bind-address", "0", "--health-bind-address", "0",
		"--leader-elect-lease-duration", "3s", "--leader-elect-renew-deadline", "2s", "--leader-elect-retry-period", "500ms",
	}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	c.Expect(p.cmd.Start()).To(Succeed())
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	c.t.Cleanup(func() {
		p.kill()
		if c.t.Failed() {
			c.t.Logf("the program's log:\n%s", p.text())
		}
	})
	return p
}

// Write collects the program's log.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill is SIGKILL: the program gets no chance to tidy up.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *program) stop(c *cluster) {
	c.t.Helper()
	c.Expect(p.cmd.Process.Signal(os.Interrupt)).To(Succeed())
	c.Eventually(p.done).Should(BeClosed())
	c.Expect(p.cmd.ProcessState.ExitCode()).To(BeZero(), p.text())
}

// create makes a node as a kubelet would: the object, then its address. Called from goroutines, so it returns its error.
func (c *cluster) create(name, address string, podCIDRs ...string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	node.Spec.PodCIDRs = podCIDRs
	if len(podCIDRs) > 0 {
		node.Spec.PodCIDR = podCIDRs[0]
	}
	ctx := context.Background()
	if err := c.Client.Create(ctx, node, client.FieldOwner("kubelet")); err != nil {
		return err
	}
	before := node.DeepCopy()
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: address}}
	return c.Client.Status().Patch(ctx, node, client.StrategicMergeFrom(before), client.FieldOwner("kubelet"))
}

func (c *cluster) node(name string) *corev1.Node {
	c.t.Helper()
	node := &corev1.Node{}
	c.Expect(c.Client.Get(context.Background(), client.ObjectKey{Name: name}, node)).To(Succeed())
	return node
}

func (c *cluster) podCIDRs(name string) func() []string {
	return func() []string { return c.node(name).Spec.PodCIDRs }
}

func (c *cluster) remove(name string) {
	c.t.Helper()
	c.Expect(c.Client.Delete(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
}

// conditionOf is the node's condition as "status reason: message", empty if it has none.
func (c *cluster) conditionOf(name string) func() string {
	return func() string {
		for _, cond := range c.node(name).Status.Conditions {
			if cond.Type == condition {
				return fmt.Sprintf("%s %s: %s", cond.Status, cond.Reason, cond.Message)
			}
		}
		return ""
	}
}

// events about the node as "reason: message".
func (c *cluster) events(name string) func() []string {
	return func() []string {
		var list corev1.EventList
		c.Expect(c.Client.List(context.Background(), &list)).To(Succeed())
		var texts []string
		for _, e := range list.Items {
			if e.InvolvedObject.Kind == "Node" && e.InvolvedObject.Name == name && e.Type == corev1.EventTypeWarning {
				texts = append(texts, e.Reason+": "+e.Message)
			}
		}
		return texts
	}
}

// allAssigned waits until every node has pod ranges and returns their prefixes by node; no two overlap.
func (c *cluster) allAssigned(count int) map[string]netip.Prefix {
	c.t.Helper()
	result := map[string]netip.Prefix{}
	c.Eventually(func(g Gomega) {
		var list corev1.NodeList
		g.Expect(c.Client.List(context.Background(), &list)).To(Succeed())
		g.Expect(list.Items).To(HaveLen(count))
		for _, n := range list.Items {
			g.Expect(n.Spec.PodCIDRs).NotTo(BeEmpty(), n.Name)
			result[n.Name] = netip.MustParsePrefix(n.Annotations[annotation])
		}
	}).Should(Succeed())
	for a, p := range result {
		for b, q := range result {
			c.Expect(a == b || !p.Overlaps(q)).To(BeTrue(), "%s has %s, %s has %s", a, p, b, q)
		}
	}
	return result
}

// createMany makes nodes from several clients at once.
func (c *cluster) createMany(prefix string, count int) *sync.WaitGroup {
	var wg sync.WaitGroup
	work := make(chan int)
	for range 10 {
		wg.Go(func() {
			for i := range work {
				if err := c.create(fmt.Sprintf("%s-%d", prefix, i), fmt.Sprintf("2001:db8:1:2::%x", i+0x100)); err != nil {
					c.t.Errorf("create a node: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range count {
			work <- i
		}
		close(work)
	})
	return &wg
}
