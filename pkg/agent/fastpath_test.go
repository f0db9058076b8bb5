// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	fakekernel "github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fake"
)

func newQuickBench(t *testing.T) (*bench, *fakekernel.FastPath) {
	b, fast := newBench(t), &fakekernel.FastPath{}
	b.quickenBy(fast)
	b.reconcile(t.Context())
	return b, fast
}

func (b *bench) quickenBy(fast dataplane.FastPath) {
	b.FastPath, b.handler.fast = fast, fast
}

func TestPodsGetOnTheFastPath(t *testing.T) {
	g := NewWithT(t)
	b, fast := newQuickBench(t)
	g.Expect(fast.Dump()).To(Equal([]string{"eth0"}))
	for _, id := range []string{"a", "b"} {
		_, err := b.ask(cnirpc.Add, id)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Eventually(fast.Dump).Should(Equal([]string{"eth0", "[2001:db8:0:1::1]", "[2001:db8:0:1::2]"}))

	b.restart()
	fast = &fakekernel.FastPath{}
	b.quickenBy(fast)
	b.reconcile(t.Context())
	g.Expect(fast.Dump()).To(Equal([]string{"eth0", "[2001:db8:0:1::1]", "[2001:db8:0:1::2]"}), "a new agent begins with nothing")

	var wired, recorded bool
	fast.Removing = func(name string) {
		wired, _ = b.kernel.Exists(t.Context(), name)
		recorded = b.store.Dump() != ""
	}
	_, err := b.ask(cnirpc.Del, "a")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fast.Dump()).To(Equal([]string{"eth0", "[2001:db8:0:1::2]"}))
	g.Expect([]bool{wired, recorded}).To(Equal([]bool{true, true}), "before the wire, and the address")

	b.kernel.Vanish(dataplane.HostInterface("b/eth0"))
	b.reconcile(t.Context())
	g.Expect(fast.Dump()).To(Equal([]string{"eth0"}))
	g.Expect([]bool{wired, recorded}).To(Equal([]bool{false, true}), "before the address")
}

func TestAFastPathThatFailsKeepsNobodyOff(t *testing.T) {
	g := NewWithT(t)
	b, fast := newQuickBench(t)
	fast.Fail(errors.New("oops"))
	_, err := b.ask(cnirpc.Add, "a")
	g.Expect(err).NotTo(HaveOccurred())
	b.reconcile(t.Context())
	g.Expect(b.Ready()).To(Succeed())
	g.Expect(b.events).To(ContainElement(HavePrefix("FastPathFailed: oops")))
	_, err = b.ask(cnirpc.Del, "a")
	g.Expect(err).To(MatchError("the pod's wire could not be removed: take the pod off the fast path: oops"), "it may be served")
	g.Expect(b.store.Dump()).NotTo(BeEmpty())
}
