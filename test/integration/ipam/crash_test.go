// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

func (c *cluster) assigned() int {
	c.t.Helper()
	var list corev1.NodeList
	c.Expect(c.Client.List(context.Background(), &list)).To(Succeed())
	count := 0
	for _, n := range list.Items {
		if len(n.Spec.PodCIDRs) > 0 {
			count++
		}
	}
	return count
}

func (c *cluster) journal() nodeprefix.Journal {
	c.t.Helper()
	var object corev1.ConfigMap
	c.Expect(c.Client.Get(context.Background(), client.ObjectKey{Namespace: "kube-system", Name: "ipv6-ipam-journal"}, &object)).To(Succeed())
	j, err := nodeprefix.DecodeJournal(object.Data["journal.json"])
	c.Expect(err).NotTo(HaveOccurred())
	return j
}

// editJournal changes the journal as another replica would, which is the worst that can happen to the one that works.
func (c *cluster) editJournal(edit func(*nodeprefix.Journal)) {
	c.t.Helper()
	c.Eventually(func() error {
		var object corev1.ConfigMap
		key := client.ObjectKey{Namespace: "kube-system", Name: "ipv6-ipam-journal"}
		err := c.Client.Get(context.Background(), key, &object)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		missing := apierrors.IsNotFound(err)
		j, err := nodeprefix.DecodeJournal(object.Data["journal.json"])
		if err != nil {
			return err
		}
		edit(&j)
		text, err := nodeprefix.EncodeJournal(j)
		if err != nil {
			return err
		}
		object.Data = map[string]string{"journal.json": text}
		if missing {
			object.Namespace, object.Name = key.Namespace, key.Name
			return c.Client.Create(context.Background(), &object)
		}
		return c.Client.Update(context.Background(), &object)
	}).Should(Succeed())
}

// TestKilledAgainAndAgain kills the program while nodes keep coming, several times, each time after a few more were assigned.
func TestKilledAgainAndAgain(t *testing.T) {
	c := start(t)
	conf := config(v6(96, 100))
	creating := c.createMany("node", 200)
	for kills, target := 0, 1; kills < 5; kills, target = kills+1, target+25 {
		p := c.run(conf, "--leader-elect=false", "--kube-api-qps", "60", "--kube-api-burst", "5")
		c.Eventually(c.assigned).WithPolling(5 * time.Millisecond).Should(BeNumerically(">=", target))
		p.kill()
	}
	c.Expect(c.assigned()).To(BeNumerically("<", 200), "the kills came in the middle")
	p := c.run(conf, "--leader-elect=false")
	creating.Wait()
	c.allAssigned(200)
	p.stop(c)
}

// TestTwoReplicasAtOnce takes the leader's Lease away: the journal alone has to keep the replicas from giving one prefix twice.
func TestTwoReplicasAtOnce(t *testing.T) {
	c := start(t)
	r := v6(96, 100)
	// 256 prefixes for 200 nodes: the replicas can't but meet.
	r.NodeBits, r.PodBits = 72, 76
	one := c.run(config(r), "--leader-elect=false")
	two := c.run(config(r), "--leader-elect=false")
	c.createMany("node", 200).Wait()
	c.allAssigned(200)
	one.stop(c)
	two.stop(c)
}

// TestStandbyTakesOver kills the leader of two.
func TestStandbyTakesOver(t *testing.T) {
	c := start(t)
	conf := config(v6(96, 100))
	leader := c.run(conf)
	c.Expect(c.create("node-a", "2001:db8:1:2::a")).To(Succeed())
	c.Eventually(c.podCIDRs("node-a")).Should(Equal([]string{"2001:db8:1:2:0:1:d000:0/100"}))
	standby := c.run(conf)
	c.Eventually(standby.text).Should(ContainSubstring("Attempting to acquire leader lease"))
	leader.kill()
	c.Expect(c.create("node-b", "2001:db8:1:2::b")).To(Succeed())
	c.Eventually(c.podCIDRs("node-b")).Should(Equal([]string{"2001:db8:1:2:0:2:d000:0/100"}))
	standby.stop(c)
}

// TestClaimOfACrashedLeader is the moment between the journal and the node: the leader claimed for a node that still exists, and
// for one that is gone, and then died.
func TestClaimOfACrashedLeader(t *testing.T) {
	c := start(t)
	c.Expect(c.create("alive", "2001:db8:1:2::a")).To(Succeed())
	uid := string(c.node("alive").UID)
	claim := func(node, uid, p, podCIDR string) nodeprefix.Claim {
		return nodeprefix.Claim{Node: node, UID: uid, Assignment: nodeprefix.Assignment{
			Prefixes: []netip.Prefix{netip.MustParsePrefix(p)}, PodCIDRs: []netip.Prefix{netip.MustParsePrefix(podCIDR)},
		}}
	}
	c.editJournal(func(j *nodeprefix.Journal) {
		j.Claims = []nodeprefix.Claim{
			claim("alive", uid, "2001:db8:1:2:0:7::/96", "2001:db8:1:2:0:7:d000:0/100"),
			claim("gone", "some-uid", "2001:db8:1:2:0:1::/96", "2001:db8:1:2:0:1:d000:0/100"),
		}
	})
	p := c.run(config(v6(96, 100)), "--leader-elect=false")
	c.Eventually(c.podCIDRs("alive")).Should(Equal([]string{"2001:db8:1:2:0:7:d000:0/100"}), "carried out as claimed: the old leader's write may arrive yet")
	c.Expect(c.create("new", "2001:db8:1:2::b")).To(Succeed())
	c.Eventually(c.podCIDRs("new")).Should(Equal([]string{"2001:db8:1:2:0:2:d000:0/100"}), "the prefix of the one that is gone is in quarantine")
	c.Expect(c.journal().Tombstones).To(HaveLen(1))
	p.stop(c)
}

// TestAnotherWroteTheJournal lets somebody else claim behind the back of a program that works: it must not go on with what it knew.
func TestAnotherWroteTheJournal(t *testing.T) {
	c := start(t)
	p := c.run(config(v6(96, 100)), "--leader-elect=false")
	c.Expect(c.create("node-a", "2001:db8:1:2::a")).To(Succeed())
	c.Eventually(c.podCIDRs("node-a")).Should(Equal([]string{"2001:db8:1:2:0:1:d000:0/100"}))
	c.editJournal(func(j *nodeprefix.Journal) {
		j.Tombstones = append(j.Tombstones, nodeprefix.Tombstone{Prefix: netip.MustParsePrefix("2001:db8:1:2:0:2::/96"), Node: "another", Until: time.Now().Add(time.Hour)})
	})
	c.Expect(c.create("node-b", "2001:db8:1:2::b")).To(Succeed())
	c.Eventually(c.podCIDRs("node-b")).Should(Equal([]string{"2001:db8:1:2:0:3:d000:0/100"}))
	c.Expect(p.text()).To(ContainSubstring("write the journal"), "it noticed")
	p.stop(c)
}

// TestDamagedJournal: better no prefix than one that somebody else may have.
func TestDamagedJournal(t *testing.T) {
	c := start(t)
	c.editJournal(func(j *nodeprefix.Journal) { j.Kind = "Other" })
	p := c.run(config(v6(96, 100)), "--leader-elect=false")
	c.Expect(c.create("node-a", "2001:db8:1:2::a")).To(Succeed())
	c.Eventually(p.text).Should(ContainSubstring("ConfigMap kube-system/ipv6-ipam-journal is damaged, nothing is assigned until it is repaired or deleted"))
	c.Expect(c.node("node-a").Spec.PodCIDRs).To(BeEmpty())
	var object corev1.ConfigMap
	object.Namespace, object.Name = "kube-system", "ipv6-ipam-journal"
	c.Expect(c.Client.Delete(context.Background(), &object)).To(Succeed())
	c.Eventually(c.podCIDRs("node-a")).Should(HaveLen(1))
	p.stop(c)
}

// TestJournalHoldsNoOldClaims keeps the journal from growing with the cluster.
func TestJournalHoldsNoOldClaims(t *testing.T) {
	c := start(t)
	p := c.run(config(v6(96, 100)), "--leader-elect=false")
	c.createMany("node", 50).Wait()
	c.allAssigned(50)
	c.Eventually(func() int { return len(c.journal().Claims) }).Should(BeZero())
	data, err := json.Marshal(c.journal())
	c.Expect(err).NotTo(HaveOccurred())
	c.Expect(len(data)).To(BeNumerically("<", 200))
	p.stop(c)
}
