// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

const (
	class            = "ipv6.networking.extensions.gardener.cloud/bgp"
	askAddresses     = "ipv6.networking.extensions.gardener.cloud/load-balancer-ips"
	askPool          = "ipv6.networking.extensions.gardener.cloud/load-balancer-pool"
	allocated        = "ipv6.networking.extensions.gardener.cloud/AddressesAllocated"
	loadBalancerBook = "ipv6-load-balancer-journal"
)

// startServices is start, without Services.
func startServices(t *testing.T) *cluster {
	t.Helper()
	c := start(t)
	var list corev1.ServiceList
	c.Expect(c.Client.List(context.Background(), &list, client.InNamespace("default"))).To(Succeed())
	for i := range list.Items {
		if s := &list.Items[i]; s.Name != "kubernetes" {
			c.Expect(client.IgnoreNotFound(c.Client.Delete(context.Background(), s))).To(Succeed())
		}
	}
	return c
}

// pools is a configuration without ranges for nodes: "name prefix prefix", one string a pool.
func pools(texts ...string) nodeprefix.Config {
	var config nodeprefix.Config
	for _, text := range texts {
		fields := strings.Fields(text)
		pool := nodeprefix.LoadBalancerPool{Name: fields[0]}
		for _, p := range fields[1:] {
			pool.Prefixes = append(pool.Prefixes, netip.MustParsePrefix(p))
		}
		config.LoadBalancerPools = append(config.LoadBalancerPools, pool)
	}
	return config
}

// service makes a LoadBalancer Service, changed as the test needs it. Called from goroutines, so it returns its error.
func (c *cluster) service(name string, changes ...func(*corev1.Service)) error {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false),
			Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
	for _, change := range changes {
		change(s)
	}
	return c.Client.Create(context.Background(), s)
}

func asking(annotation, value string) func(*corev1.Service) {
	return func(s *corev1.Service) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, annotation, value) }
}

func (c *cluster) serviceNow(name string) *corev1.Service {
	c.t.Helper()
	s := &corev1.Service{}
	c.Expect(c.Client.Get(context.Background(), client.ObjectKey{Namespace: "default", Name: name}, s)).To(Succeed())
	return s
}

func (c *cluster) changeService(name string, change func(*corev1.Service)) {
	c.t.Helper()
	before := c.serviceNow(name)
	after := before.DeepCopy()
	change(after)
	c.Expect(c.Client.Patch(context.Background(), after, client.MergeFrom(before))).To(Succeed())
}

func (c *cluster) removeService(name string) {
	c.t.Helper()
	c.Expect(c.Client.Delete(context.Background(), c.serviceNow(name))).To(Succeed())
}

// addresses of the Service's status, with their mode if it is not VIP.
func (c *cluster) addresses(name string) func() []string {
	return func() []string {
		var texts []string
		for _, ingress := range c.serviceNow(name).Status.LoadBalancer.Ingress {
			text := ingress.IP
			if mode := ptr.Deref(ingress.IPMode, "none"); mode != corev1.LoadBalancerIPModeVIP {
				text += " " + string(mode)
			}
			texts = append(texts, text)
		}
		return texts
	}
}

// told is the Service's condition as "status reason: message", empty if it has none.
func (c *cluster) told(name string) func() string {
	return func() string {
		cond := meta.FindStatusCondition(c.serviceNow(name).Status.Conditions, allocated)
		if cond == nil {
			return ""
		}
		return fmt.Sprintf("%s %s: %s", cond.Status, cond.Reason, cond.Message)
	}
}

func (c *cluster) serviceEvents(name string) func() []string {
	return func() []string {
		var list corev1.EventList
		c.Expect(c.Client.List(context.Background(), &list, client.InNamespace("default"))).To(Succeed())
		var texts []string
		for _, e := range list.Items {
			if e.InvolvedObject.Kind == "Service" && e.InvolvedObject.Name == name {
				texts = append(texts, e.Type+" "+e.Reason+": "+e.Message)
			}
		}
		return texts
	}
}

// services makes many from several clients at once.
func (c *cluster) services(prefix string, count int) *sync.WaitGroup {
	var wg sync.WaitGroup
	work := make(chan int)
	for range 10 {
		wg.Go(func() {
			for i := range work {
				if err := c.service(fmt.Sprintf("%s-%d", prefix, i)); err != nil {
					c.t.Errorf("create a Service: %v", err)
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

// holders of each address that a Service has.
func (c *cluster) holders() map[string][]string {
	c.t.Helper()
	var list corev1.ServiceList
	c.Expect(c.Client.List(context.Background(), &list, client.InNamespace("default"))).To(Succeed())
	by := map[string][]string{}
	for _, s := range list.Items {
		for _, ingress := range s.Status.LoadBalancer.Ingress {
			by[ingress.IP] = append(by[ingress.IP], s.Name)
		}
	}
	return by
}

// allHold waits until so many addresses are held, each by one Service.
func (c *cluster) allHold(count int) {
	c.t.Helper()
	c.Eventually(func() int { return len(c.holders()) }).Should(Equal(count))
	for a, names := range c.holders() {
		c.Expect(names).To(HaveLen(1), a)
	}
}

func TestServicesGetAddresses(t *testing.T) {
	c := startServices(t)
	p := c.run(pools("public 2001:db8:5::/112"))
	c.services("web", 100).Wait()
	c.allHold(100)
	c.Expect(c.holders()).NotTo(HaveKey("2001:db8:5::"), "the subnet-router anycast address")
	c.Expect(c.told("web-0")()).To(BeEmpty(), "a Service without trouble has no condition")
	c.Eventually(c.serviceEvents("web-0")).Should(ConsistOf(HavePrefix("Normal Allocated: the Service has 2001:db8:5::")))
	p.stop(c)
	c.Expect(p.text()).NotTo(ContainSubstring("Will try again"))
}

// TestReleasedIsReusedLast: a deleted Service's address comes again when the whole pool was gone through.
func TestReleasedIsReusedLast(t *testing.T) {
	c := startServices(t)
	conf := pools("public 2001:db8:5::/126")
	p := c.run(conf, "--leader-elect=false")
	c.Expect(c.service("a")).To(Succeed())
	c.Eventually(c.addresses("a")).Should(Equal([]string{"2001:db8:5::1"}))
	c.removeService("a")
	c.Expect(c.service("b")).To(Succeed())
	c.Eventually(c.addresses("b")).Should(Equal([]string{"2001:db8:5::2"}))
	p.stop(c)
	c.removeService("b") // nobody watches
	p = c.run(conf, "--leader-elect=false")
	c.Expect(c.service("c")).To(Succeed())
	c.Eventually(c.addresses("c")).Should(Equal([]string{"2001:db8:5::3"}))
	c.Expect(c.service("d")).To(Succeed())
	c.Eventually(c.addresses("d")).Should(Equal([]string{"2001:db8:5::1"}))
	p.stop(c)
}

func TestPoolExhausted(t *testing.T) {
	c := startServices(t)
	p := c.run(pools("public 2001:db8:5::/127"), "--leader-elect=false")
	for _, name := range []string{"a", "b"} {
		c.Expect(c.service(name)).To(Succeed())
		c.Eventually(c.addresses(name)).Should(HaveLen(1))
	}
	c.Expect(c.service("late")).To(Succeed())
	const message = "PoolExhausted: no free IPv6 address is left in public: all 2 are in use"
	c.Eventually(c.told("late")).Should(Equal("False " + message))
	c.Eventually(c.serviceEvents("late")).Should(ConsistOf("Warning " + message))
	freed := c.addresses("a")()
	c.changeService("a", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	c.Eventually(c.addresses("late")).Should(Equal(freed))
	c.Eventually(c.told("late")).Should(Equal("True Allocated: "))
	c.Expect(c.addresses("a")()).To(BeEmpty())
	p.stop(c)
}

func TestRequestedAddresses(t *testing.T) {
	c := startServices(t)
	p := c.run(pools("public 2001:db8:5::/112 192.0.2.0/24", "inner fd00:5::/112"), "--leader-elect=false")
	c.Expect(c.service("ours", asking(askAddresses, "2001:db8:5::7"))).To(Succeed())
	c.Eventually(c.addresses("ours")).Should(Equal([]string{"2001:db8:5::7"}))
	c.Expect(c.service("deprecated", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "2001:db8:5::8" })).To(Succeed())
	c.Eventually(c.addresses("deprecated")).Should(Equal([]string{"2001:db8:5::8"}))
	c.Expect(c.service("pool", asking(askPool, "inner"))).To(Succeed())
	c.Eventually(c.addresses("pool")).Should(Equal([]string{"fd00:5::1"}))

	for name, tc := range map[string]struct{ annotation, value, told string }{
		"taken":    {askAddresses, "2001:db8:5::7", "False AddressNotAvailable: 2001:db8:5::7 is asked for, which Service default/ours has"},
		"anycast":  {askAddresses, "2001:db8:5::", "False AddressNotAvailable: 2001:db8:5:: is asked for, which is the subnet-router anycast address of 2001:db8:5::/112"},
		"outside":  {askAddresses, "2001:db8:6::7", "False AddressOutsidePools: 2001:db8:6::7 is asked for, which is in no pool; there are public, inner"},
		"nonsense": {askAddresses, "any", "False RequestInvalid: the annotation " + askAddresses + ` asks for "any", which is no address; write one a family, separated by commas, such as 2001:db8::7,192.0.2.7`},
		"family":   {askAddresses, "192.0.2.7", "True RequestInvalid: 192.0.2.7 is asked for, but the Service has no IPv4 (spec.ipFamilies)"},
		"no-pool":  {askPool, "outer", `False PoolUnknown: there is no pool "outer"; there are public, inner`},
	} {
		c.Expect(c.service(name, asking(tc.annotation, tc.value))).To(Succeed())
		c.Eventually(c.told(name)).Should(Equal(tc.told))
	}
	c.removeService("ours")
	c.Eventually(c.addresses("taken")).Should(Equal([]string{"2001:db8:5::7"}), "as soon as it is free")

	// What a Service has is not taken from it for a wish that cannot be fulfilled.
	before := c.addresses("pool")()
	c.changeService("pool", asking(askAddresses, "2001:db8:5::7"))
	c.Eventually(c.told("pool")).Should(Equal("True AddressOutsidePools: 2001:db8:5::7 is asked for, which is not in pool inner but in public"))
	c.Expect(c.addresses("pool")()).To(Equal(before))
	c.changeService("pool", asking(askAddresses, "fd00:5::99"))
	c.Eventually(c.addresses("pool")).Should(Equal([]string{"fd00:5::99"}))
	c.Eventually(c.told("pool")).Should(Equal("True Allocated: "))
	p.stop(c)
}

func TestTwoFamilies(t *testing.T) {
	c := startServices(t)
	dual := func(policy corev1.IPFamilyPolicy) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.IPFamilyPolicy = &policy }
	}
	p := c.run(pools("public 2001:db8:5::/112 192.0.2.0/30", "inner fd00:5::/112"), "--leader-elect=false")
	c.Expect(c.service("both", dual(corev1.IPFamilyPolicyRequireDualStack))).To(Succeed())
	c.Eventually(c.addresses("both")).Should(Equal([]string{"2001:db8:5::1", "192.0.2.1"}))
	c.Expect(c.service("asks", dual(corev1.IPFamilyPolicyRequireDualStack), asking(askAddresses, "192.0.2.2,2001:db8:5::99"))).To(Succeed())
	c.Eventually(c.addresses("asks")).Should(Equal([]string{"2001:db8:5::99", "192.0.2.2"}), "in the order of spec.ipFamilies")
	c.Expect(c.service("neither", dual(corev1.IPFamilyPolicyRequireDualStack))).To(Succeed())
	c.Eventually(c.told("neither")).Should(Equal("False PoolExhausted: no free IPv4 address is left in public: all 2 are in use; " +
		"the Service takes an address of each family or none (RequireDualStack)"))
	c.Expect(c.service("prefers", dual(corev1.IPFamilyPolicyPreferDualStack))).To(Succeed())
	c.Eventually(c.addresses("prefers")).Should(Equal([]string{"2001:db8:5::2"}))
	c.Expect(c.told("prefers")()).To(Equal("True PoolExhausted: no free IPv4 address is left in public: all 2 are in use"))

	c.changeService("both", func(s *corev1.Service) {
		s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
		s.Spec.IPFamilies, s.Spec.ClusterIPs = s.Spec.IPFamilies[:1], s.Spec.ClusterIPs[:1]
	})
	c.Eventually(c.addresses("both")).Should(Equal([]string{"2001:db8:5::1"}))
	c.Eventually(func() bool { return len(c.addresses("neither")())+len(c.addresses("prefers")()) == 3 }).Should(BeTrue(), "one of them got what became free")
	p.stop(c)
}

func TestMetricsOfLoadBalancers(t *testing.T) {
	c := startServices(t)
	metrics := freeAddress(t)
	p := c.run(pools("public 2001:db8:5::/126"), "--metrics-bind-address", metrics, "--leader-elect=false")
	for _, name := range []string{"a", "b", "c", "d"} {
		c.Expect(c.service(name)).To(Succeed())
	}
	c.allHold(3)
	c.Eventually(func() (string, error) { return get("http://" + metrics + "/metrics") }).Should(SatisfyAll(
		ContainSubstring(`ipv6_ipam_load_balancer_addresses{family="IPv6",pool="public",state="used"} 3`),
		ContainSubstring(`ipv6_ipam_load_balancer_addresses{family="IPv6",pool="public",state="free"} 0`),
		ContainSubstring(`ipv6_ipam_load_balancer_services{reason="Allocated"} 3`),
		ContainSubstring(`ipv6_ipam_load_balancer_services{reason="PoolExhausted"} 1`),
		ContainSubstring(`ipv6_ipam_load_balancer_problems_total{reason="PoolExhausted"} 1`),
		ContainSubstring(`ipv6_ipam_load_balancer_allocation_seconds_count 3`),
	))
	p.stop(c)
}

func TestOtherClassesAreLeftAlone(t *testing.T) {
	c := startServices(t)
	withClass := func(class string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }
	}
	c.Expect(c.service("other", withClass("example.com/other"))).To(Succeed())
	c.Expect(c.service("ours", withClass(class))).To(Succeed())
	c.Expect(c.service("none")).To(Succeed())
	// Whoever gave it: no other Service gets it.
	other := c.serviceNow("other")
	other.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "2001:db8:5::1", IPMode: ptr.To(corev1.LoadBalancerIPModeProxy)}}
	c.Expect(c.Client.Status().Update(context.Background(), other)).To(Succeed())

	conf := pools("public 2001:db8:5::/112")
	conf.LoadBalancerClassOnly = true
	p := c.run(conf, "--leader-elect=false")
	c.Eventually(c.addresses("ours")).Should(Equal([]string{"2001:db8:5::2"}))
	c.Expect(c.service("also-ours", withClass(class))).To(Succeed())
	c.Eventually(c.addresses("also-ours")).Should(Equal([]string{"2001:db8:5::3"}))
	c.Expect(c.addresses("none")()).To(BeEmpty())
	p.stop(c)

	p = c.run(pools("public 2001:db8:5::/112"), "--leader-elect=false")
	c.Eventually(c.addresses("none")).Should(Equal([]string{"2001:db8:5::4"}))
	p.stop(c)
	c.Expect(c.addresses("other")()).To(Equal([]string{"2001:db8:5::1 Proxy"}))
	c.Expect(c.serviceNow("other").ResourceVersion).To(Equal(other.ResourceVersion))
}

// TestPoolTakenAway: what a Service has is never taken from it, and it is said what that means.
func TestPoolTakenAway(t *testing.T) {
	c := startServices(t)
	p := c.run(pools("old 2001:db8:5::/112"), "--leader-elect=false")
	c.Expect(c.service("web")).To(Succeed())
	c.Eventually(c.addresses("web")).Should(Equal([]string{"2001:db8:5::1"}))
	p.stop(c)
	p = c.run(pools("new 2001:db8:6::/112"), "--leader-elect=false")
	c.Eventually(c.told("web")).Should(Equal("True AddressOutsidePools: it keeps 2001:db8:5::1, which is in no pool: routers are not told of it"))
	c.Expect(c.addresses("web")()).To(Equal([]string{"2001:db8:5::1"}))
	c.changeService("web", asking(askPool, "new"))
	c.Eventually(c.addresses("web")).Should(Equal([]string{"2001:db8:6::1"}), "when its owner asks for it")
	c.Eventually(c.told("web")).Should(Equal("True Allocated: "))
	p.stop(c)
}

// TestTypeChanges: the status goes with the type, as the API server sees to it, and the condition, too.
func TestTypeChanges(t *testing.T) {
	c := startServices(t)
	p := c.run(pools("public 2001:db8:5::/127"), "--leader-elect=false")
	c.Expect(c.service("web", asking(askAddresses, "nonsense"))).To(Succeed())
	c.Eventually(c.told("web")).Should(HavePrefix("False RequestInvalid"))
	c.changeService("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	c.Eventually(c.told("web")).Should(BeEmpty())
	p.stop(c)
}
