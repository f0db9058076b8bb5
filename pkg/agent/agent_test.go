// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	fakekernel "github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
	fakestore "github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/fake"
)

// bench is an agent on fakes.
type bench struct {
	*Agent
	t      *testing.T
	kernel *fakekernel.Kernel
	store  *fakestore.Store
	netns  *os.File
	config agentconfig.Config
	// bgp is with routing mode BGP.
	bgp *BGP

	mu     sync.Mutex
	view   View
	events []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	own := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/120")
	b := &bench{t: t, kernel: fakekernel.New(), store: fakestore.New(), netns: f, view: View{Own: &own}}
	b.config = agentconfig.Config{RoutingMode: agentconfig.Routed, IPFamilies: []string{"IPv6"}}
	b.restart()
	return b
}

// restart is what a new process does; the kernel and the store are as the old one left them.
func (b *bench) restart() {
	b.t.Helper()
	dir := b.t.TempDir()
	a, err := New(b.t.Context(), Options{
		Config: b.config, BGP: b.bgp,
		Nodes: b, Recorder: b, Wirer: b.kernel, Host: b.kernel, Masquerader: b.kernel, Store: b.store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Socket: filepath.Join(dir, "cni.sock"), CNIConfDir: dir, CNIBinDir: dir, PluginDir: dir, Resync: time.Hour,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Agent = a
}

func (b *bench) View() View               { return b.view }
func (b *bench) Changed() <-chan struct{} { return nil }
func (b *bench) Warn(reason, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, reason+": "+message)
}

func (b *bench) ask(cmd cnirpc.Command, id string) (*cnirpc.Result, error) {
	return b.handler.Handle(context.Background(), cnirpc.Request{
		Command: cmd, Network: "ipv6", Pod: "default/" + id, Attachment: cnirpc.Attachment{ContainerID: id, Interface: "eth0"},
	}, b.netns)
}

func codeOf(err error) cnirpc.Code {
	var e *cnirpc.Error
	errors.As(err, &e)
	if e == nil {
		return 0
	}
	return e.Code
}

func TestBeforeTheFirstReconciliation(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	_, err := b.ask(cnirpc.Add, "a")
	g.Expect(err).To(MatchError("the node is not ready for pods: the agent is starting"))
	g.Expect(codeOf(err)).To(Equal(cnirpc.CodeTryAgainLater))
	_, err = b.ask(cnirpc.Status, "")
	g.Expect(codeOf(err)).To(Equal(cnirpc.CodeNotAvailable))
	_, err = b.ask(cnirpc.Del, "a")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.Ready()).To(MatchError("the agent is starting"))
	g.Expect(b.Health()).To(Succeed())
}

func TestAddAndDel(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.reconcile(t.Context())
	g.Expect(b.Ready()).To(Succeed())
	r, err := b.ask(cnirpc.Add, "a")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fmt.Sprint(r.Addrs, r.Gateways, r.MTU)).To(Equal("[2001:db8:0:1::1] [fe80::1] 1500"))
	g.Expect(b.kernel.Dump()).To(ContainSubstring("wire a/eth0 ipv6 eth0 mtu 1500 [2001:db8:0:1::1]\n"))
	g.Expect(b.store.Dump()).To(Equal("a/eth0 2001:db8:0:1::1\n"))
	_, err = b.ask(cnirpc.Del, "a")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring("wire"))
	g.Expect(b.store.Dump()).To(BeEmpty())
}

func TestAFailedAddIsUndone(t *testing.T) {
	oops := errors.New("oops")
	for _, method := range []string{"Wire", "Unwire"} {
		t.Run(method, func(t *testing.T) {
			g := NewWithT(t)
			b := newBench(t)
			b.reconcile(t.Context())
			b.kernel.Fail("Wire", oops)
			b.kernel.Fail(method, oops)
			_, err := b.ask(cnirpc.Add, "a")
			g.Expect(err).To(MatchError("the pod could not be wired: oops"))
			if method == "Unwire" { // then the address must stay held, as a wire may be there
				g.Expect(b.store.Dump()).To(Equal("a/eth0 2001:db8:0:1::1\n"))
				b.kernel.Fail("Unwire", nil)
				b.reconcile(t.Context())
			}
			g.Expect(b.store.Dump()).To(BeEmpty())
		})
	}
}

func TestTheWireGoesBeforeTheAddress(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.reconcile(t.Context())
	_, err := b.ask(cnirpc.Add, "a")
	g.Expect(err).NotTo(HaveOccurred())
	b.kernel.Fail("Unwire", errors.New("busy"))
	_, err = b.ask(cnirpc.Del, "a")
	g.Expect(err).To(MatchError("the pod's wire could not be removed: busy"))
	g.Expect(b.store.Dump()).NotTo(BeEmpty())
}

func TestExhaustion(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	own := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/126")
	b.view.Own = &own
	b.reconcile(t.Context())
	for _, id := range []string{"a", "b", "c"} {
		_, err := b.ask(cnirpc.Add, id)
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := b.ask(cnirpc.Add, "d")
	g.Expect(codeOf(err)).To(Equal(cnirpc.CodeTryAgainLater))
	g.Expect(err).To(MatchError(ContainSubstring("pod range 2001:db8:0:1::/126: no free address")))
	b.reconcile(t.Context())
	b.reconcile(t.Context())
	g.Expect(b.events).To(Equal([]string{"PodRangeExhausted: all 3 addresses of the pod range 2001:db8:0:1::/126 are in use"}), "said once")
	g.Expect(b.Ready()).To(Succeed(), "pods that run are well")
}

// TestOneFamilysRangeChanges: a pod that kept an address of its other family is told of, too.
func TestOneFamilysRangeChanges(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.config.IPFamilies = []string{"IPv6", "IPv4"}
	b.restart()
	own := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/120", "10.96.1.0/24")
	b.view.Own = &own
	b.reconcile(t.Context())
	_, err := b.ask(cnirpc.Add, "a")
	g.Expect(err).NotTo(HaveOccurred())
	own.PodCIDRs[1] = netip.MustParsePrefix("10.96.2.0/24")
	b.reconcile(t.Context())
	g.Expect(b.events).To(ConsistOf(HavePrefix("PodRangeChanged: 1 pods have addresses outside")))
}

// TestTheUplinkIsPluggedInAnew: the kernel ignores router advertisements on the new one, having forwarding on.
func TestTheUplinkIsPluggedInAnew(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	const accepts = "sysctl net/ipv6/conf/eth0/accept_ra=2"
	b.kernel.UplinkIs = dataplane.Uplink{Name: "eth0", MTU: 1500, HasIPv6: true, AcceptRA: 1, Forwarding: 1}
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring(accepts), "nothing was ever advertised")
	b.kernel.UplinkIs.AcceptRA, b.kernel.UplinkIs.FromRA = 2, true
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).NotTo(ContainSubstring(accepts), "somebody did it already")
	b.kernel.UplinkIs.AcceptRA, b.kernel.UplinkIs.FromRA = 1, false
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(ContainSubstring(accepts))
}

func TestRestartRecovers(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.reconcile(t.Context())
	for _, id := range []string{"stays", "gone", "lost"} {
		_, err := b.ask(cnirpc.Add, id)
		g.Expect(err).NotTo(HaveOccurred())
	}
	b.kernel.Vanish(dataplane.HostInterface("gone/eth0"))
	g.Expect(b.store.Delete(t.Context(), podip.Key{ContainerID: "lost", Interface: "eth0"})).To(Succeed())
	b.restart()
	g.Expect(b.store.Dump()).To(Equal("lost/eth0 2001:db8:0:1::3\nstays/eth0 2001:db8:0:1::1\n"))
	b.reconcile(t.Context())
	r, err := b.ask(cnirpc.Add, "new")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.Addrs).To(Equal(addrs("2001:db8:0:1::4")))
}

func TestTheAPIServerIsAwayAfterARestart(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.config.RoutingMode, b.config.IPFamilies, b.config.MasqueradeIPv4 = agentconfig.Direct, []string{"IPv6", "IPv4"}, true
	b.kernel.OnLink = prefixesOf("2001:db8::/64")
	own := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/120", "10.96.1.0/24")
	b.view = View{Own: &own, Peers: []Node{nodeNamed("n2", "2001:db8::12", "2001:db8:0:2::/120")}}
	b.restart()
	b.reconcile(t.Context())
	_, err := b.ask(cnirpc.Add, "a")
	g.Expect(err).NotTo(HaveOccurred())
	before := b.kernel.Dump()
	g.Expect(before).To(And(ContainSubstring("route 2001:db8:0:2::/120 via 2001:db8::12"), ContainSubstring("masquerade [10.96.1.0/24]")))
	b.view = View{}
	b.restart()
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(Equal(before), "running pods go on reaching their peers")
	_, err = b.ask(cnirpc.Add, "b")
	g.Expect(codeOf(err)).To(Equal(cnirpc.CodeTryAgainLater))
	_, err = b.ask(cnirpc.Del, "a")
	g.Expect(err).NotTo(HaveOccurred(), "pods can end")
	g.Expect(b.events).To(Equal([]string{"NodeUnknown: the API server does not know this node yet"}))
}

// A Node that was made anew under its name has no podCIDRs for a moment. Its pods run on, and reach what is outside of the cluster.
func TestANodeThatIsMadeAnewMasqueradesOn(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.config.IPFamilies, b.config.MasqueradeIPv4 = []string{"IPv6", "IPv4"}, true
	own := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/120", "10.96.1.0/24")
	b.view = View{Known: true, Own: &own}
	b.restart()
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(ContainSubstring("masquerade [10.96.1.0/24]"))
	b.view = View{Known: true}
	b.reconcile(t.Context())
	again := nodeNamed("n1", "2001:db8::11")
	b.view.Own = &again
	b.reconcile(t.Context())
	g.Expect(b.kernel.Dump()).To(ContainSubstring("masquerade [10.96.1.0/24]"))
	g.Expect(b.Ready()).NotTo(Succeed(), "no new pods")
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		what     string
		do       func(*bench)
		event    string
		blocking bool
	}{
		{"no uplink", func(b *bench) { b.kernel.Fail("Uplink", errors.New("no uplink")) }, "HostNetworkUnknown: no uplink", true},
		{"sysctls", func(b *bench) { b.kernel.Fail("Apply", errors.New("read-only")) }, "SysctlFailed: read-only", true},
		{"one route", func(b *bench) {
			b.kernel.Fail("Apply", &dataplane.ApplyError{Routes: []*dataplane.RouteError{{Action: "add", Err: errors.New("taken")}}})
		}, "RouteFailed: add route", false},
		{"firewall", func(b *bench) { b.kernel.Drops = []string{"ip6 filter FORWARD"} }, "FirewallDropsForwarded: the firewall chain ip6 filter FORWARD drops", false},
		{"invalid range", func(b *bench) { own := nodeNamed("n1", "::1", "2001:db8::/128"); b.view.Own = &own }, "PodRangeInvalid: pod range 2001:db8::/128 is too small", true},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := NewWithT(t)
			b := newBench(t)
			c.do(b)
			b.reconcile(t.Context())
			b.reconcile(t.Context())
			g.Expect(b.events).To(HaveLen(1))
			g.Expect(b.events[0]).To(HavePrefix(c.event))
			conflist := filepath.Join(b.CNIConfDir, agentconfig.ConflistName)
			if c.blocking {
				g.Expect(b.Ready()).NotTo(Succeed())
				g.Expect(conflist).NotTo(BeAnExistingFile())
			} else {
				g.Expect(b.Ready()).To(Succeed())
				g.Expect(conflist).To(BeARegularFile())
			}
		})
	}
}

func TestProbes(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		b.mux().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	is := func(path string, code int, body string) {
		gotCode, gotBody := get(path)
		g.ExpectWithOffset(1, fmt.Sprint(gotCode, gotBody)).To(Equal(fmt.Sprint(code, body)))
	}
	is("/healthz", 200, "ok")
	is("/readyz", 503, "the agent is starting")
	b.reconcile(t.Context())
	is("/readyz", 200, "ok")
	b.Agent.mu.Lock()
	b.alive = time.Now().Add(-7 * time.Hour)
	b.Agent.mu.Unlock()
	is("/healthz", 503, "no reconciliation has ended for 7h0m0s")
}

func TestInvalidRequests(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.reconcile(t.Context())
	_, err := b.ask(cnirpc.Add, "../a")
	g.Expect(codeOf(err)).To(Equal(cnirpc.CodeInvalidEnvironment))
	_, err = b.ask("DANCE", "a")
	g.Expect(err).To(MatchError(`the agent does not know the command "DANCE"`))
	seen, err := b.metrics.registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fmt.Sprint(seen)).To(And(ContainSubstring(`"unknown"`), Not(ContainSubstring("DANCE"))))
	_, err = b.handler.Handle(t.Context(), cnirpc.Request{Command: cnirpc.Add, Attachment: cnirpc.Attachment{ContainerID: "a", Interface: "eth0"}}, nil)
	g.Expect(err).To(MatchError("ADD came without a network namespace"))
}

// TestASweepLeavesWhatIsUnderWay: an address that is recorded but not wired yet is not a leak.
func TestASweepLeavesWhatIsUnderWay(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.reconcile(t.Context())
	key := podip.Key{ContainerID: "a", Interface: "eth0"}
	_, err := b.addrs.Allocate(t.Context(), podip.Claim{Key: key})
	g.Expect(err).NotTo(HaveOccurred())
	unlock := b.handler.keys.lock(key)
	g.Expect(b.handler.sweep(t.Context())).To(Equal(0))
	_, err = b.handler.Handle(t.Context(), cnirpc.Request{Command: cnirpc.GC}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.store.Dump()).NotTo(BeEmpty())
	unlock()
	g.Expect(b.handler.sweep(t.Context())).To(Equal(1))
	g.Expect(b.store.Dump()).To(BeEmpty())
	g.Expect(b.handler.keys.locks).To(BeEmpty())
}
