// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fake"
)

// askedHost writes down which addresses it was asked for.
type askedHost struct {
	dataplane.Host
	asked []string
	fault error
}

func (h *askedHost) Neighbour(_ context.Context, a netip.Addr) (string, bool, error) {
	h.asked = append(h.asked, a.String())
	return "eth0", true, h.fault
}

// One node that changes costs one question, whatever the size of the cluster.
func TestWaysAreAskedForOnce(t *testing.T) {
	g := NewWithT(t)
	h := &askedHost{Host: fake.New()}
	var w knownWays
	uplink, here := dataplane.Uplink{Name: "eth0", MTU: 1500}, addrs("2001:db8::1")
	look := func(to ...string) []string {
		h.asked = nil
		w.begin(uplink, here)
		found := w.to(context.Background(), h, addrs(to...))
		for _, a := range addrs(to...) {
			g.Expect(found).To(HaveKeyWithValue(a, Way{Device: "eth0", OnLink: true, Err: h.fault}))
		}
		return h.asked
	}
	g.Expect(look("2001:db8::2", "2001:db8::3", "2001:db8::2")).To(Equal([]string{"2001:db8::2", "2001:db8::3"}))
	g.Expect(look("2001:db8::2", "2001:db8::3")).To(BeEmpty())
	g.Expect(look("2001:db8::3", "2001:db8::4")).To(Equal([]string{"2001:db8::4"}))
	g.Expect(look("2001:db8::2", "2001:db8::3", "2001:db8::4")).To(Equal([]string{"2001:db8::2"}), "it was gone in between")

	uplink.MTU = 1400
	g.Expect(look("2001:db8::2", "2001:db8::3")).To(HaveLen(2), "the uplink has changed")
	here = addrs("2001:db8::1", "2001:db8::9")
	g.Expect(look("2001:db8::2", "2001:db8::3")).To(HaveLen(2), "the node has another address")
	w.forget()
	h.fault = errors.New("no route to host")
	g.Expect(look("2001:db8::2")).To(HaveLen(1), "it was to forget")
	g.Expect(look("2001:db8::2")).To(HaveLen(1), "the host could not say")
	h.fault = nil
	g.Expect(look("2001:db8::2")).To(HaveLen(1))
	g.Expect(look("2001:db8::2")).To(BeEmpty())
	g.Expect(w.older(time.Hour)).To(BeFalse())
	w.since = time.Now().Add(-time.Hour)
	g.Expect(w.older(time.Hour)).To(BeTrue())
}

// Many changes make few notices, and the last one is never lost.
func TestPacer(t *testing.T) {
	g := NewWithT(t)
	p := newPacer()
	p.soon()
	g.Eventually(p.changed).Should(Receive(), "the first one at once")
	first := time.Now()
	for range 100 {
		p.soon()
	}
	g.Eventually(p.changed).Should(Receive())
	g.Expect(time.Since(first)).To(BeNumerically(">", pause/2))
	g.Consistently(p.changed, 2*pause).ShouldNot(Receive())
	p.now()
	g.Expect(p.changed).To(Receive(), "what is urgent")
}
