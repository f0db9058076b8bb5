// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
)

// TestTwoReplicasForServices takes the leader's Lease away, and kills: the journal alone keeps them from giving one address twice.
func TestTwoReplicasForServices(t *testing.T) {
	c := startServices(t)
	conf := pools("public 2001:db8:5::/120")
	creating := c.services("web", 200)
	survivor := c.run(conf, "--leader-elect=false", "--kube-api-qps", "60", "--kube-api-burst", "5")
	for kills, target := 0, 1; kills < 4; kills, target = kills+1, target+30 {
		p := c.run(conf, "--leader-elect=false", "--kube-api-qps", "60", "--kube-api-burst", "5")
		c.Eventually(func() int { return len(c.holders()) }).WithPolling(5 * time.Millisecond).Should(BeNumerically(">=", target))
		p.kill()
	}
	second := c.run(conf, "--leader-elect=false")
	creating.Wait()
	for i := range 50 {
		c.removeService(fmt.Sprintf("web-%d", i))
	}
	c.services("again", 100).Wait()
	c.allHold(250)
	survivor.stop(c)
	second.stop(c)
	c.Expect(survivor.text()).To(ContainSubstring("write the journal"), "they met")
}

// TestClaimOfAService is the moment between the journal and the Service: a replica claimed for a Service as it still is, for one that changed
// since, and for one that is gone, and then died.
func TestClaimOfAService(t *testing.T) {
	c := startServices(t)
	var claims []lbip.Claim
	claim := func(name, address string) {
		c.Expect(c.service(name)).To(Succeed())
		s := c.serviceNow(name)
		var version uint64
		_, err := fmt.Sscan(s.ResourceVersion, &version)
		c.Expect(err).NotTo(HaveOccurred())
		claims = append(claims, lbip.Claim{Service: "default/" + name, UID: string(s.UID), Version: version, Addresses: []netip.Addr{netip.MustParseAddr(address)}})
	}
	claim("alive", "2001:db8:5::3")
	claim("changed", "2001:db8:5::2")
	claim("gone", "2001:db8:5::1")
	c.changeService("changed", asking("example.com/any", "thing"))
	c.removeService("gone")
	text, err := lbip.EncodeJournal(lbip.Journal{APIVersion: lbip.JournalAPIVersion, Kind: lbip.JournalKind, Claims: claims})
	c.Expect(err).NotTo(HaveOccurred())
	c.Expect(c.Client.Create(context.Background(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: loadBalancerBook}, Data: map[string]string{"journal.json": text},
	})).To(Succeed())

	p := c.run(pools("public 2001:db8:5::/112"), "--leader-elect=false")
	c.Eventually(c.addresses("alive")).Should(Equal([]string{"2001:db8:5::3"}), "carried out as claimed: the dead replica's write may arrive yet")
	c.Eventually(c.addresses("changed")).Should(Equal([]string{"2001:db8:5::1"}), "claims of others and of older versions are void")
	c.Expect(c.service("new")).To(Succeed())
	c.Eventually(c.addresses("new")).Should(Equal([]string{"2001:db8:5::2"}))
	c.Eventually(func() string {
		var object corev1.ConfigMap
		c.Expect(c.Client.Get(context.Background(), client.ObjectKey{Namespace: "kube-system", Name: loadBalancerBook}, &object)).To(Succeed())
		return object.Data["journal.json"]
	}).Should(And(ContainSubstring(`"cursors":{"2001:db8:5::/112":"2001:db8:5::3"}`), Not(ContainSubstring("claims"))), "it holds no old claims")
	p.stop(c)
}

// TestWrittenByAnother: two Services have one address because somebody else wrote it. Neither loses it, and it is said.
func TestWrittenByAnother(t *testing.T) {
	c := startServices(t)
	p := c.run(pools("public 2001:db8:5::/112"), "--leader-elect=false")
	c.Expect(c.service("old")).To(Succeed())
	c.Eventually(c.addresses("old")).Should(Equal([]string{"2001:db8:5::1"}))
	c.Expect(c.service("young")).To(Succeed())
	c.Eventually(c.addresses("young")).Should(Equal([]string{"2001:db8:5::2"}))
	s := c.serviceNow("young")
	s.Status.LoadBalancer.Ingress[0].IP = "2001:db8:5::1"
	c.Expect(c.Client.Status().Update(context.Background(), s)).To(Succeed())
	told := "True AddressConflict: 2001:db8:5::1 is also an address of Service default/old"
	c.Eventually(c.told("young")).Should(Equal(told))
	c.removeService("old")
	c.Eventually(c.told("young")).Should(Equal("True Allocated: "))
	c.Expect(c.addresses("young")()).To(Equal([]string{"2001:db8:5::1"}))
	p.stop(c)
}

func TestDamagedLoadBalancerJournal(t *testing.T) {
	c := startServices(t)
	c.Expect(c.Client.Create(context.Background(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: loadBalancerBook}, Data: map[string]string{"journal.json": "{"},
	})).To(Succeed())
	p := c.run(pools("public 2001:db8:5::/127"), "--leader-elect=false")
	c.Expect(c.service("web")).To(Succeed())
	c.Eventually(p.text).Should(ContainSubstring("ConfigMap kube-system/ipv6-load-balancer-journal is damaged, nothing is allocated until it is repaired or deleted"))
	c.Expect(c.addresses("web")()).To(BeEmpty())
	err := c.Client.Delete(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: loadBalancerBook}})
	c.Expect(apierrors.IsNotFound(err)).To(BeFalse())
	c.Eventually(c.addresses("web")).Should(HaveLen(1))
	p.stop(c)
}
