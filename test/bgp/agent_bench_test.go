// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	nl "github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BenchmarkAgentStart measures from the start of the agent's process to the route in the router's kernel. The router is another
// process that runs already, and knows nothing of the node before.
func BenchmarkAgentStart(b *testing.B) {
	cfg := bgpConfig()
	cfg.BGP.GracefulRestartSeconds = 0
	l := newAgentLab(b, "", "", cfg)
	routes := l.watch()
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		l.agent.start()
		took = append(took, routes.await("2001:db8:2::/80", unix.RTM_NEWROUTE).Sub(begin))
		l.Expect(l.agent.signal(syscall.SIGTERM)).To(Succeed())
		routes.await("2001:db8:2::/80", unix.RTM_DELROUTE)
	}
	report(b, took)
}

// BenchmarkNewPodCIDR measures from the write of a Node's podCIDRs to the route in the router's kernel.
func BenchmarkNewPodCIDR(b *testing.B) {
	l := newAgentLab(b, "", "", bgpConfig())
	routes := l.watch()
	l.agent.start()
	routes.await("2001:db8:2::/80", unix.RTM_NEWROUTE)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		// What podCIDRs say cannot be changed: a new Node under the same name can have others.
		nodes := l.agent.client.CoreV1().Nodes()
		l.Expect(nodes.Delete(b.Context(), l.agent.name, metav1.DeleteOptions{})).To(Succeed())
		_, err := nodes.Create(b.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: l.agent.name}}, metav1.CreateOptions{})
		l.Expect(err).NotTo(HaveOccurred())
		time.Sleep(100 * time.Millisecond) // the machine's usual pace
		prefix := fmt.Sprintf("2001:db8:2:%x::/80", i+1)
		begin := time.Now()
		_, err = nodes.Patch(b.Context(), l.agent.name, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"podCIDR":%[1]q,"podCIDRs":[%[1]q]}}`, prefix), metav1.PatchOptions{})
		l.Expect(err).NotTo(HaveOccurred())
		took = append(took, routes.await(prefix, unix.RTM_NEWROUTE).Sub(begin))
	}
	report(b, took)
}

// BenchmarkAgentMemory starts an agent that knows as much as in a cluster of some size and says how much of it is resident.
func BenchmarkAgentMemory(b *testing.B) {
	cfg := bgpConfig()
	cfg.LoadBalancerCIDRs, cfg.BGP.GracefulRestartSeconds = []string{"2001:db8:5::/112"}, 0
	cfg.BGP.Advertise.ServiceRange, cfg.BGP.Advertise.LoadBalancerIPs = true, true
	l := newAgentLab(b, "", "", cfg)
	for i := range 60 {
		name := "s" + strconv.Itoa(i)
		l.service(name, fmt.Sprintf("2001:db8:100::%x", 0x100+i), fmt.Sprintf("2001:db8:5::%x", i+1), nil)
		l.endpoints(name, l.agent.name, "another-node")
	}
	for b.Loop() {
		l.agent.start()
		l.has("2001:db8:5::3c/128")
		for range 20 {
			l.agent.metric("go_") // as Prometheus does
		}
		b.ReportMetric(resident(b, &process{cmd: l.agent.cmd}), "MiB-resident")
		b.Log(run(b, "grep", "^Rss", "/proc/"+strconv.Itoa(l.agent.cmd.Process.Pid)+"/status"))
		l.Expect(l.agent.signal(syscall.SIGTERM)).To(Succeed())
		l.lacks("2001:db8:5::3c/128")
	}
}

// routeWatch hears of the routes of the router's kernel.
type routeWatch struct {
	Gomega
	updates chan nl.RouteUpdate
}

func (l *agentLab) watch() routeWatch {
	w := routeWatch{l, make(chan nl.RouteUpdate, 1024)}
	done := make(chan struct{})
	l.agent.t.Cleanup(func() { close(done) })
	l.Expect(nl.RouteSubscribeWithOptions(w.updates, done, nl.RouteSubscribeOptions{Namespace: &l.router.handle})).To(Succeed())
	return w
}

// await says when it happened.
func (w routeWatch) await(prefix string, what uint16) time.Time {
	late := time.After(soon)
	for {
		select {
		case u := <-w.updates:
			if u.Dst == nil || u.Type != what {
				continue
			}
			if p, ok := netipx.FromStdIPNet(u.Dst); ok && p == netip.MustParsePrefix(prefix) {
				return time.Now()
			}
		case <-late:
			w.Expect(prefix).To(BeEmpty(), "nothing happened to the route")
		}
	}
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return took[min(int(q*float64(len(took))), len(took)-1)].Seconds() * 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(at(0.5), "ms-p50")
	b.ReportMetric(at(0.99), "ms-p99")
}
