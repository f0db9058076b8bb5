// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// counted is a firewall that counts.
type counted struct {
	masquerades, guards int
	err                 error
}

func (c *counted) Masquerade(context.Context, *dataplane.Masquerade) error {
	c.masquerades++
	return c.err
}

func (c *counted) Guard(context.Context, *dataplane.Guarded) error {
	c.guards++
	return c.err
}

func TestTheFirewallIsToldWhatIsNew(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	b.config.IPFamilies, b.config.MasqueradeIPv4 = []string{"IPv6", "IPv4"}, true
	b.config.Encapsulation = &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationAlways, VNI: 4096, Port: 4789}
	own := nodeNamed("n1", "2001:db8::11", "2001:db8:0:1::/120", "10.96.1.0/24")
	b.view = View{Known: true, Own: &own}
	b.restart()
	c := &counted{err: errors.New("no nft")}
	b.Masquerader, b.Guard = c, c
	told := func() []int { b.reconcile(t.Context()); return []int{c.masquerades, c.guards} }
	g.Expect(told()).To(Equal([]int{1, 1}))
	c.err = nil
	g.Expect(told()).To(Equal([]int{2, 2}), "what failed is tried again")
	g.Expect(told()).To(Equal([]int{2, 2}), "nothing is new")
	b.view.Peers = []Node{nodeNamed("n2", "2001:db8::12", "2001:db8:0:2::/120", "10.96.2.0/24")}
	g.Expect(told()).To(Equal([]int{2, 3}), "another node, which pods are never masqueraded for")
	b.masqueraded.since, b.guarded.since = time.Now().Add(-b.Resync), time.Now().Add(-b.Resync)
	g.Expect(told()).To(Equal([]int{3, 4}), "somebody may have flushed the rules")
}

func TestAGuardThatIsNotNeededIsRemovedOnce(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t)
	c := &counted{}
	b.Guard, b.Resync = c, time.Nanosecond
	for range 3 {
		b.reconcile(t.Context())
	}
	g.Expect(c.guards).To(Equal(1))
}
