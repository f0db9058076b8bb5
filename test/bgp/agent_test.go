// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

func TestAgentAnnouncesTheNodesPrefix(t *testing.T) {
	l := newAgentLab(t, helper, "", bgpConfig())
	l.agent.start()
	l.has("2001:db8:2::/80")
	l.Expect(l.node.run("ss", "-Hltn")).To(And(ContainSubstring("[::1]:10301"), Not(ContainSubstring(":179")), Not(ContainSubstring(":50051"))),
		"neither BGP's port nor GoBGP's gRPC")
	l.Expect(l.agent.metric("ipv6_agent_bgp_announced")).To(Equal("ipv6_agent_bgp_announced_prefixes 1"))
	l.Eventually(func() string { return l.agent.metric("ipv6_agent_bgp_session_up") }).WithTimeout(soon).Should(Equal(`ipv6_agent_bgp_session_up{peer="2001:db8:1::1"} 1`))
	l.router.ask("disable", "node", `"maintenance"`)
	l.Eventually(func() string { return l.agent.metric("ipv6_agent_bgp_session") }).WithTimeout(soon).Should(And(
		ContainSubstring(`ipv6_agent_bgp_session_up{peer="2001:db8:1::1"} 0`), ContainSubstring(`ipv6_agent_bgp_session_flaps_total{peer="2001:db8:1::1"} 1`)))
	l.router.ask("enable", "node")
	l.has("2001:db8:2::/80")
}

// What a Service's policies and endpoints say decides what is announced of it.
func TestAgentAnnouncesServices(t *testing.T) {
	cfg := bgpConfig()
	cfg.LoadBalancerCIDRs = []string{"2001:db8:5::/112"}
	cfg.BGP.Advertise = agentconfig.Advertise{NodePrefixes: true, ServiceRange: true, LoadBalancerIPs: true}
	l := newAgentLab(t, helper, "", cfg)
	internal := corev1.ServiceInternalTrafficPolicyLocal
	l.service("web", "2001:db8:100::10", "2001:db8:5::1", func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy, s.Spec.InternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal, &internal
	})
	l.service("everywhere", "2001:db8:100::11", "2001:db8:5::2", nil)
	l.service("stolen", "2001:db8:100::12", "2001:db8:1::1", nil)
	l.endpoints("everywhere", "another-node")
	l.endpoints("stolen", "another-node")
	l.agent.start()
	l.has("2001:db8:2::/80")
	l.has("2001:db8:100::/112")
	l.has("2001:db8:5::2/128")
	l.lacks("2001:db8:5::1/128")
	l.lacks("2001:db8:1::1/128")
	l.Eventually(l.agent.events).WithTimeout(soon).Should(ContainSubstring("AddressNotAllowed: Service default/stolen has the LoadBalancer address 2001:db8:1::1 outside of the pools"))

	l.endpoints("web", l.agent.name)
	l.has("2001:db8:5::1/128")
	l.has("2001:db8:100::10/128")
	l.endpoints("web", "another-node")
	l.lacks("2001:db8:5::1/128")
	l.lacks("2001:db8:100::10/128")
	l.Expect(l.router.routes("2001:db8:100::/112")).NotTo(BeEmpty())

	// What kube-proxy does not translate (there is none here) is not sent back to the router.
	out := l.pingFrom(l.router.space, "2001:db8:100::99", "-c", "1", "-W", "2")
	l.Expect(out).To(ContainSubstring("From 2001:db8:1::2 icmp_seq=1 Destination unreachable"), out)
	l.node.run("ip", "address", "add", "2001:db8:5::2/128", "dev", "lo")
	l.Eventually(func() string { return l.pingFrom(l.node, "2001:db8:5::2", "-c", "1", "-W", "1") }).WithTimeout(soon).
		Should(ContainSubstring(" 0% packet loss"), "the node's own clients are not refused")

	l.agent.change(func(n *corev1.Node) {
		n.Spec.Unschedulable = true
		n.Labels = map[string]string{"x": "y"}
	})
	l.Consistently(func() string { return l.router.routes("2001:db8:100::/112") }).WithTimeout(settled).ShouldNot(BeEmpty(), "merely cordoned")
	l.agent.change(func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "ToBeDeletedByClusterAutoscaler", Effect: corev1.TaintEffectNoSchedule})
	})
	l.lacks("2001:db8:100::/112")
	l.lacks("2001:db8:5::2/128")
	l.Expect(l.router.routes("2001:db8:2::/80")).NotTo(BeEmpty(), "its pods live")
	l.Expect(l.agent.signal(syscall.SIGTERM)).To(Succeed())
	l.lacks("2001:db8:2::/80")
}

// The agent is away for five seconds, whether it was told to end or killed: no route changes in the router's kernel, and no packet to a
// pod is lost.
func TestAgentRestartsAndNothingIsLost(t *testing.T) {
	for how, signal := range map[string]syscall.Signal{"rollout": syscall.SIGTERM, "crash": syscall.SIGKILL} {
		t.Run(how, func(t *testing.T) {
			cfg := bgpConfig()
			cfg.LoadBalancerCIDRs = []string{"2001:db8:5::/112"}
			cfg.BGP.Advertise.LoadBalancerIPs = true
			cfg.BGP.Peers[0].Import = "Default"
			l := newAgentLab(t, helper, "protocol static { ipv6; route ::/0 blackhole; }", cfg)
			l.node.run("ip", "-6", "route", "delete", "default") // there shall be the imported one only
			l.pod("2001:db8:2::5")
			l.service("web", "2001:db8:100::10", "2001:db8:5::1", nil)
			l.endpoints("web", l.agent.name)
			l.agent.start()
			l.has("2001:db8:2::/80")
			l.has("2001:db8:5::1/128")
			l.Eventually(func() string { return l.node.routes("::/0") }).WithTimeout(soon).Should(ContainSubstring("via 2001:db8:1::1 dev eth0 proto 148"))
			// The client is beyond the router, so that answers need the imported default route.
			client := newSpace(t, "client")
			linkNamed(l.router.space, client, "eth1", "eth0", []string{"2001:db8:9::1/64"}, []string{"2001:db8:9::2/64"})
			client.run("ip", "route", "add", "default", "via", "2001:db8:9::1")
			l.Eventually(func() string { return l.pingFrom(client, "2001:db8:2::5", "-c", "1", "-W", "1") }).WithTimeout(soon).Should(ContainSubstring(" 0% packet loss"))

			router, node := follow(t, l.router.space), follow(t, l.node)
			lost := make(chan string, 1)
			go func() { lost <- l.pingFrom(client, "2001:db8:2::5", "-i", "0.01", "-w", "9", "-q") }()
			l.Eventually(func() string { return client.run("cat", "/proc/net/snmp6") }).Should(MatchRegexp(`Icmp6OutEchos\s+\d\d`), "the pings are under way")
			_ = l.agent.signal(signal)
			<-time.After(5 * time.Second) // the time that it is away is what is tested
			l.agent.start()
			l.Eventually(func() string { return l.agent.metric("ipv6_agent_bgp_session_up") }).WithTimeout(soon).Should(HaveSuffix("} 1"))
			out := <-lost
			t.Log(strings.TrimSpace(out))
			sent, received := packets(out)
			l.Expect(sent).To(BeNumerically(">", 300), out)
			l.Expect(received).To(Equal(sent), out)
			l.Expect(router()).NotTo(ContainSubstring("Deleted"), "what happened in the router's kernel")
			l.Expect(node()).NotTo(ContainSubstring("Deleted"), "what happened in the node's kernel")
		})
	}
}

// Two routers tell of a default route: packets are shared. When one goes, the other has them all.
func TestAgentImportsADefaultRoute(t *testing.T) {
	cfg := bgpConfig()
	cfg.BGP.Peers[0].Import = "Default"
	second := cfg.BGP.Peers[0]
	second.Address = "2001:db8:7::1"
	cfg.BGP.Peers = append(cfg.BGP.Peers, second)
	const gives = "protocol static { ipv6; route ::/0 blackhole; route 2001:db8:400::/48 blackhole; }"
	l := newAgentLab(t, "", gives, cfg)
	other := newSpace(t, "other")
	linkNamed(l.node, other, "eth1", "eth0", []string{"2001:db8:7::2/64"}, []string{"2001:db8:7::1/64"})
	more := bird(t, other, "192.0.2.9", `
protocol bgp node {
  local as 65000;
  neighbor 2001:db8:7::2 as 65001;
  ipv6 { import all; export where source = RTS_STATIC; };
}
`+gives)
	l.agent.start()
	ways := func() string { return l.node.routes("::/0") }
	l.Eventually(ways).WithTimeout(soon).Should(And(ContainSubstring("nexthop via 2001:db8:1::1 dev eth0"), ContainSubstring("nexthop via 2001:db8:7::1 dev eth1")))
	l.Expect(l.node.routes("2001:db8:400::/48")).To(BeEmpty(), "it is no default route")
	more.ask("disable", "node")
	l.Eventually(ways).WithTimeout(soon).Should(And(ContainSubstring("via 2001:db8:1::1 dev eth0 proto 148"), Not(ContainSubstring("2001:db8:7::1"))))
	l.Expect(ways()).To(ContainSubstring("default via 2001:db8:1::1 dev eth0 metric 1024"), "the node's own stays")
}

func TestAgentFollowsThePassword(t *testing.T) {
	for _, passive := range []bool{false, true} {
		t.Run("passive "+strconv.FormatBool(passive), func(t *testing.T) {
			cfg := bgpConfig()
			cfg.BGP.GracefulRestartSeconds = 0
			cfg.BGP.Peers[0].Passive = passive
			cfg.BGP.Peers[0].PasswordSecret = "tor-" + strconv.FormatBool(passive)
			l := newAgentLab(t, `password "first";`, "", cfg)
			secrets := l.agent.client.CoreV1().Secrets("kube-system")
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: cfg.BGP.Peers[0].PasswordSecret}, StringData: map[string]string{"password": "wrong"}}
			_, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{})
			l.Expect(err).NotTo(HaveOccurred())
			l.agent.start()
			l.Eventually(func() string { return l.agent.metric("ipv6_agent_bgp_session_up") }).WithTimeout(soon).Should(HaveSuffix("} 0"))
			l.Consistently(func() string { return l.router.routes("2001:db8:2::/80") }).WithTimeout(2 * time.Second).Should(BeEmpty())
			secret.StringData["password"] = "first"
			_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
			l.Expect(err).NotTo(HaveOccurred())
			l.has("2001:db8:2::/80")

			l.Expect(secrets.Delete(t.Context(), secret.Name, metav1.DeleteOptions{})).To(Succeed())
			l.Eventually(l.agent.events).WithTimeout(soon).Should(ContainSubstring("was deleted: their sessions keep the last one"))
			l.Expect(l.agent.metric("ipv6_agent_bgp_session_flaps_total")).To(HaveSuffix("} 0"))
			l.Expect(l.agent.logged()).NotTo(Or(ContainSubstring("first\""), ContainSubstring("wrong\"")), "passwords")
		})
	}
}

// service of type LoadBalancer with its address.
func (l *agentLab) service(name, clusterIP, ingress string, change func(*corev1.Service)) {
	t, services := l.agent.t, l.agent.client.CoreV1().Services("default")
	t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: clusterIP, IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol}, Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
	if change != nil {
		change(s)
	}
	s, err := services.Create(t.Context(), s, metav1.CreateOptions{})
	l.Expect(err).NotTo(HaveOccurred())
	l.agent.cleanup(func(a *agent) error { return services.Delete(a.ctx, name, metav1.DeleteOptions{}) })
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ingress}}
	_, err = services.UpdateStatus(t.Context(), s, metav1.UpdateOptions{})
	l.Expect(err).NotTo(HaveOccurred())
}

// endpoints of a Service are ready on these nodes, in the place of those before.
func (l *agentLab) endpoints(service string, nodes ...string) {
	t, slices := l.agent.t, l.agent.client.DiscoveryV1().EndpointSlices("default")
	t.Helper()
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv6,
	}
	for i, node := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"2001:db8:2::" + strconv.Itoa(i+1)}, NodeName: &node})
	}
	if _, err := slices.Create(t.Context(), s, metav1.CreateOptions{}); err == nil {
		l.agent.cleanup(func(a *agent) error { return slices.Delete(a.ctx, service, metav1.DeleteOptions{}) })
		return
	}
	_, err := slices.Update(t.Context(), s, metav1.UpdateOptions{})
	l.Expect(err).NotTo(HaveOccurred())
}

// pod with an address, wired by hand: the agent's own wires are tested elsewhere.
func (l *agentLab) pod(address string) {
	pod := newSpace(l.agent.t, "pod")
	linkNamed(l.node, pod, "pod0", "eth0", []string{"fe80::1/64"}, []string{address + "/128"})
	pod.run("ip", "route", "add", "default", "via", "fe80::1", "dev", "eth0")
	l.node.run("ip", "route", "add", address, "dev", "pod0")
}

// pingFrom a namespace. That nothing answers is an answer, too.
func (l *agentLab) pingFrom(s *space, address string, args ...string) string {
	var out strings.Builder
	cmd := s.command("ping", append([]string{"-6", "-n", address}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.within(cmd.Start); err != nil {
		return err.Error()
	}
	_ = cmd.Wait()
	return out.String()
}

// packets that ping counted.
func packets(out string) (sent, received int) {
	found := regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`).FindStringSubmatch(out)
	if found == nil {
		return 0, 0
	}
	sent, _ = strconv.Atoi(found[1])
	received, _ = strconv.Atoi(found[2])
	return sent, received
}
