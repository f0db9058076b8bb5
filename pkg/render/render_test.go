// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	vpaautoscalingv1 "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func inputs() map[string]Input {
	single := Input{
		Namespace:  "shoot--garden--demo",
		AgentImage: "registry.example.org/ipv6-agent:v1", IPAMImage: "registry.example.org/ipv6-ipam-controller:v1",
		Agent: agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96},
		NodePrefixes: nodeprefix.Config{Ranges: []nodeprefix.Range{{
			Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:1:2::/64"), NodeBits: 96, PodBits: 100, PodChild: 13, HoldsNodes: true,
		}}},
		Replicas:               1,
		GenericTokenKubeconfig: "generic-token-kubeconfig-1234", AccessSecret: "shoot-access-ipv6-ipam-controller",
		ShootVPA: true, SeedVPA: true,
	}

	dual := single
	dual.Agent = agentconfig.Config{
		RoutingMode: agentconfig.Routed, IPFamilies: []string{"IPv6", "IPv4"}, MTU: 1400,
		MasqueradeIPv4: true, NonMasqueradeCIDRs: []string{"10.250.0.0/16", "100.96.0.0/11", "100.64.0.0/13"},
	}
	dual.NodePrefixes = nodeprefix.Config{Ranges: []nodeprefix.Range{
		{Family: "IPv6", Pool: netip.MustParsePrefix("fd00:1::/48"), NodeBits: 64, PodBits: 64, PodChild: 0},
		{Family: "IPv4", Pool: netip.MustParsePrefix("100.96.0.0/11"), NodeBits: 24, PodBits: 24, PodChild: 0},
	}}
	dual.ShootVPA, dual.SeedVPA = false, false

	asleep := single
	asleep.Replicas = 0

	custom := single
	custom.NodePrefixes = nodeprefix.Config{}

	bgp := single
	bgp.Agent = agentconfig.Config{
		RoutingMode: agentconfig.BGP, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96,
		ServiceCIDRs: []string{"2001:db8:2::/112"}, LoadBalancerCIDRs: []string{"2001:db8:5::/112"},
		BGP: &agentconfig.BGPConfig{ASN: 64512, GracefulRestartSeconds: 120, Advertise: agentconfig.Advertise{NodePrefixes: true, ServiceRange: true}, Peers: []agentconfig.BGPPeer{
			{Address: "2001:db8:1::2", ASN: 65000, PasswordSecret: "bgp-b"}, {Address: "2001:db8:1::1", ASN: 65000, PasswordSecret: "bgp-a"},
			{Address: "2001:db8:1::3", ASN: 65000, PasswordSecret: "bgp-b"}, {DefaultGateway: true, ASN: 65000},
		}},
	}
	bgp.NodePrefixes.LoadBalancerPools = []nodeprefix.LoadBalancerPool{{Name: "public", Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:5::/112")}}}

	reported := single
	reported.Agent.NodePrefixSources = []agentconfig.NodePrefixSource{
		{Source: agentconfig.SourceMetadata, Provider: "aws", MatchLabels: map[string]string{"cloud": "aws"}}, {Source: agentconfig.SourcePool},
	}
	reported.Agent.Encapsulation = &agentconfig.Encapsulation{Mode: agentconfig.EncapsulationAlways, VNI: 4096, Port: 4789}
	reported.NodePrefixes.Sources = []nodeprefix.Source{{Origin: nodeprefix.FromNode, MatchLabels: map[string]string{"cloud": "aws"}}, {Origin: nodeprefix.FromPool}}

	pools := custom
	pools.NodePrefixes.LoadBalancerPools = bgp.NodePrefixes.LoadBalancerPools

	return map[string]Input{
		"ipv6": single, "dualstack": dual, "asleep": asleep, "custom": custom, "bgp": bgp, "reported": reported, "pools": pools,
	}
}

func TestGolden(t *testing.T) {
	for name, in := range inputs() {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			out, err := Objects(in)
			g.Expect(err).NotTo(HaveOccurred())
			compare(t, filepath.Join("testdata", name+".shoot.yaml"), out.Shoot)
			compare(t, filepath.Join("testdata", name+".seed.yaml"), out.Seed)

			again, err := Objects(in)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again).To(Equal(out), "equal inputs give equal objects")
		})
	}
}

// compare prints the objects, compares them with the golden file, and reads them back strictly.
func compare(t *testing.T, file string, objects []client.Object) {
	t.Helper()
	g := NewWithT(t)
	codecs := serializer.NewCodecFactory(testScheme(t), serializer.EnableStrict)
	var text strings.Builder
	for _, object := range objects {
		document, err := yaml.Marshal(object)
		g.Expect(err).NotTo(HaveOccurred())
		text.WriteString("---\n" + string(document))

		read, gvk, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
		g.Expect(err).NotTo(HaveOccurred(), "strict decoding of what was rendered")
		read.GetObjectKind().SetGroupVersionKind(*gvk)
		g.Expect(yaml.Marshal(read)).To(MatchYAML(document))
	}
	if *update {
		g.Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(file, []byte(text.String()), 0o644)).To(Succeed())
		return
	}
	want, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred(), "run the test with -update to make it")
	g.Expect(cmp.Diff(string(want), text.String())).To(BeEmpty(), "run the test with -update if this is as it should be")
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	g := NewWithT(t)
	g.Expect(scheme.AddToScheme(s)).To(Succeed())
	g.Expect(vpaautoscalingv1.AddToScheme(s)).To(Succeed())
	g.Expect(monitoringv1.AddToScheme(s)).To(Succeed())
	return s
}

func TestConfigurationNamesItsConfigMap(t *testing.T) {
	g := NewWithT(t)
	first, second := inputs()["ipv6"], inputs()["ipv6"]
	second.Agent.MTU = 1500
	one, err := Objects(first)
	g.Expect(err).NotTo(HaveOccurred())
	other, err := Objects(second)
	g.Expect(err).NotTo(HaveOccurred())

	configMaps := func(out Output) (named, mounted string) {
		for _, object := range out.Shoot {
			switch o := object.(type) {
			case *corev1.ConfigMap:
				named = o.Name
			case *appsv1.DaemonSet:
				mounted = o.Spec.Template.Spec.Volumes[0].ConfigMap.Name
			}
		}
		return named, mounted
	}
	named, mounted := configMaps(one)
	g.Expect(mounted).To(Equal(named))
	otherNamed, otherMounted := configMaps(other)
	g.Expect(otherMounted).To(Equal(otherNamed))
	g.Expect(otherNamed).NotTo(Equal(named), "agents restart when their configuration changes")
}

func TestInvalidConfigurations(t *testing.T) {
	g := NewWithT(t)
	in := inputs()["ipv6"]
	in.Agent.IPFamilies = nil
	_, err := Objects(in)
	g.Expect(err).To(MatchError(HavePrefix("ipv6-agent: ")))

	in = inputs()["ipv6"]
	in.NodePrefixes.Ranges[0].NodeBits = 32
	_, err = Objects(in)
	g.Expect(err).To(MatchError(HavePrefix("ipv6-ipam-controller: ")))
}

func TestOptionalSeedObjectsAreAllThatMayBeMissing(t *testing.T) {
	g := NewWithT(t)
	out, err := Objects(inputs()["ipv6"])
	g.Expect(err).NotTo(HaveOccurred())
	names := func(objects []client.Object, keep func(client.Object) bool) []string {
		var found []string
		for _, o := range objects {
			if keep(o) {
				found = append(found, o.GetObjectKind().GroupVersionKind().String()+" "+o.GetNamespace()+"/"+o.GetName())
			}
		}
		return found
	}
	all := func(client.Object) bool { return true }
	g.Expect(names(OptionalSeedObjects("shoot--garden--demo"), all)).To(ConsistOf(names(out.Seed, MayBeMissing)))
}

func TestAlertsAreExpressions(t *testing.T) {
	g := NewWithT(t)
	rules := 0
	for _, object := range ipamMonitoring("shoot--garden--demo") {
		rule, ok := object.(*monitoringv1.PrometheusRule)
		if !ok {
			continue
		}
		for _, r := range rule.Spec.Groups[0].Rules {
			rules++
			_, err := metricsql.Parse(r.Expr.StrVal)
			g.Expect(err).NotTo(HaveOccurred(), r.Alert)
		}
	}
	g.Expect(rules).To(Equal(3))
}
