// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

func kubeService(name string, change func(*corev1.Service)) *corev1.Service {
	local := corev1.ServiceInternalTrafficPolicyLocal
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"large": "x"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "2001:db8:100::1", ClusterIPs: []string{"2001:db8:100::1", "100.64.0.1"}, ExternalIPs: []string{"2001:db8:5::e"},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, InternalTrafficPolicy: &local, Selector: map[string]string{"app": "x"},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "2001:db8:5::1"}, {Hostname: "lb.example"}}}},
	}
	if change != nil {
		change(s)
	}
	return s
}

// kubeSlice has endpoints as in "n1 ready", "n2 ending", "n1 gone", "- ready".
func kubeSlice(name, service string, family discoveryv1.AddressType, endpoints ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: family,
	}
	yes, no := true, false
	for _, text := range endpoints {
		node, state, _ := strings.Cut(text, " ")
		e := discoveryv1.Endpoint{Addresses: []string{"2001:db8::1"}}
		if node != "-" {
			e.NodeName = &node
		}
		switch state {
		case "ready":
		case "ending":
			e.Conditions = discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
		case "gone":
			e.Conditions = discoveryv1.EndpointConditions{Ready: &no, Serving: &no, Terminating: &yes}
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func TestWatchServices(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	client := fake.NewClientset(
		kubeService("web", nil), kubeSlice("web-1", "web", discoveryv1.AddressTypeIPv6, "n1 ready", "n2 ready"),
		kubeSlice("web-2", "web", discoveryv1.AddressTypeIPv6, "n2 ending", "n1 gone", "- ready"), kubeSlice("web-3", "web", discoveryv1.AddressTypeIPv4, "n1 ready"),
		kubeSlice("web-4", "web", discoveryv1.AddressTypeFQDN, "n1 ready"),
		kubeService("headless", func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"None"} }),
		kubeService("foreign", func(s *corev1.Service) { s.Labels["service.kubernetes.io/service-proxy-name"] = "x" }),
	)
	s, err := WatchServices(ctx, client, "n1", fullBGP())
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(s.Changed()).Should(Receive())
	view := func() []announce.Service {
		services, known := s.Services()
		g.Expect(known).To(BeTrue())
		return services
	}
	g.Eventually(func() bool { _, known := s.Services(); return known }).Should(BeTrue())
	web := announce.Service{
		Namespace: "default", Name: "web", Type: announce.LoadBalancer,
		ClusterIPs:  []netip.Addr{netip.MustParseAddr("2001:db8:100::1"), netip.MustParseAddr("100.64.0.1")},
		ExternalIPs: []netip.Addr{netip.MustParseAddr("2001:db8:5::e")}, Ingress: []announce.Ingress{{Address: netip.MustParseAddr("2001:db8:5::1")}},
		ExternalPolicy: announce.Local, InternalPolicy: announce.Local,
		Endpoints: map[bgp.Family]announce.Endpoints{bgp.IPv6Unicast: {Ready: 3, ReadyHere: 1, Ending: 1}, bgp.IPv4Unicast: {Ready: 1, ReadyHere: 1}},
	}
	g.Expect(view()).To(Equal([]announce.Service{web}))
	settle := func() {
		g.Eventually(func() bool { p := s.changed; p.mu.Lock(); defer p.mu.Unlock(); return p.due }).Should(BeFalse())
		select {
		case <-s.Changed():
		default:
		}
	}
	settle()

	slices := client.DiscoveryV1().EndpointSlices("default")
	more := kubeSlice("web-1", "web", discoveryv1.AddressTypeIPv6, "n1 ready", "n1 ready", "n2 ready")
	_, err = slices.Update(ctx, more, metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() int { return view()[0].Endpoints[bgp.IPv6Unicast].ReadyHere }).Should(Equal(2))
	g.Consistently(s.Changed(), "150ms").ShouldNot(Receive(), "nothing is decided by how many they are")

	_, err = slices.Update(ctx, kubeSlice("web-1", "web", discoveryv1.AddressTypeIPv6, "n2 ready"), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(s.Changed()).Should(Receive())
	g.Expect(view()[0].Endpoints[bgp.IPv6Unicast]).To(Equal(announce.Endpoints{Ready: 2, Ending: 1}))

	for _, name := range []string{"web-1", "web-2", "web-3", "web-4"} {
		g.Expect(slices.Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
	}
	g.Eventually(func() int { return len(view()[0].Endpoints) }).Should(BeZero())
	g.Expect(s.endpoints).To(BeEmpty())

	settle()
	_, err = client.CoreV1().Services("default").Update(ctx, kubeService("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(s.Changed()).Should(Receive())
	g.Expect(view()).To(BeEmpty())
}

// Services that nothing is announced of wake nobody.
func TestOnlyWhatMattersIsKept(t *testing.T) {
	s := &ClusterServices{advertise: announce.Advertise{LoadBalancerIPs: true}}
	plain := func(s *corev1.Service) { s.Spec.Type, s.Status = corev1.ServiceTypeClusterIP, corev1.ServiceStatus{} }
	pending := func(s *corev1.Service) { s.Status = corev1.ServiceStatus{} }
	for _, c := range []struct {
		advertise announce.Advertise
		change    func(*corev1.Service)
		want      bool
	}{
		{announce.Advertise{LoadBalancerIPs: true}, nil, true},
		{announce.Advertise{LoadBalancerIPs: true}, pending, false},
		{announce.Advertise{LoadBalancerIPs: true}, plain, false},
		{announce.Advertise{ExternalIPs: true}, plain, true},
		{announce.Advertise{ClusterIPs: true}, plain, true},
		{announce.Advertise{ServiceRange: true}, plain, true},
		{announce.Advertise{ServiceRange: true}, func(s *corev1.Service) { plain(s); s.Spec.InternalTrafficPolicy = nil }, false},
	} {
		s.advertise = c.advertise
		NewWithT(t).Expect(s.matters(serviceOf(kubeService("a", c.change)))).To(Equal(c.want), "%+v", c)
	}
}

// However slices come, change, move between Services and go, the sums are those of what is there.
func TestEndpointsAreCounted(t *testing.T) {
	g := NewWithT(t)
	s := &ClusterServices{
		node: "n1", changed: newPacer(),
		services: map[types.NamespacedName]announce.Service{}, endpoints: map[types.NamespacedName]map[bgp.Family]announce.Endpoints{},
	}
	random := rand.New(rand.NewPCG(1, 2))
	there := map[string]*discoveryv1.EndpointSlice{}
	convert := func(is *discoveryv1.EndpointSlice) any {
		if is == nil {
			return nil
		}
		out, err := s.count(is)
		g.Expect(err).NotTo(HaveOccurred())
		return out
	}
	states := []string{"n1 ready", "n2 ready", "n1 ending", "n2 ending", "n1 gone", "- ready"}
	for range 2000 {
		name := fmt.Sprint("s", random.IntN(4))
		before := there[name]
		var after *discoveryv1.EndpointSlice
		if random.IntN(3) > 0 {
			random.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
			family := []discoveryv1.AddressType{discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeIPv4}[random.IntN(2)]
			after = kubeSlice(name, fmt.Sprint("svc", random.IntN(2)), family, slices.Clone(states[:random.IntN(len(states))])...)
		}
		s.sliceChanged(convert(before), convert(after))
		if there[name] = after; after == nil {
			delete(there, name)
		}
		want := map[types.NamespacedName]map[bgp.Family]announce.Endpoints{}
		for _, is := range there {
			counted := convert(is).(*slice)
			key := types.NamespacedName{Namespace: "default", Name: counted.service}
			if counted.endpoints == (announce.Endpoints{}) {
				continue
			}
			if want[key] == nil {
				want[key] = map[bgp.Family]announce.Endpoints{}
			}
			want[key][counted.family] = want[key][counted.family].Plus(counted.endpoints)
		}
		g.Expect(s.endpoints).To(Equal(want))
	}
}
