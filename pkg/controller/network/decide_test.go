// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"net/netip"
	"testing"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

const configHead = `{"apiVersion":"ipv6.networking.extensions.gardener.cloud/v1alpha1","kind":"NetworkConfig",`

func clusterWith(config string, spec gardencorev1beta1.Networking, status gardencorev1beta1.NetworkingStatus) *extensionscontroller.Cluster {
	spec.Type = new("ipv6")
	spec.ProviderConfig = &runtime.RawExtension{Raw: []byte(configHead + config + "}")}
	return &extensionscontroller.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "shoot--a--b"},
		Shoot: &gardencorev1beta1.Shoot{
			Spec:   gardencorev1beta1.ShootSpec{Networking: &spec},
			Status: gardencorev1beta1.ShootStatus{Networking: &status},
		},
		Seed: &gardencorev1beta1.Seed{},
	}
}

func bound(name v1alpha1.RangeName, allocated string) *v1alpha1.PrefixReservation {
	return &v1alpha1.PrefixReservation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shoot--a--b", Name: string(name) + "-ipv6"},
		Spec:       v1alpha1.PrefixReservationSpec{Range: name, Family: v1alpha1.IPv6},
		Status:     v1alpha1.PrefixReservationStatus{Phase: v1alpha1.PhaseBound, Allocated: allocated},
	}
}

// decideFor gathers and decides.
func decideFor(t *testing.T, cluster *extensionscontroller.Cluster, reservations ...*v1alpha1.PrefixReservation) (decision, error) {
	t.Helper()
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	builder := fakeclient.NewClientBuilder().WithScheme(scheme)
	for _, r := range reservations {
		builder.WithObjects(r)
	}
	f, err := gather(t.Context(), builder.Build(), "shoot--a--b", cluster)
	if err != nil {
		return decision{}, err
	}
	return decide(f, "agent:v1", "ipam:v1")
}

func TestDecide(t *testing.T) {
	ipv6 := []gardencorev1beta1.IPFamily{"IPv6"}
	both := []gardencorev1beta1.IPFamily{"IPv6", "IPv4"}
	for name, tc := range map[string]struct {
		config string
		spec   gardencorev1beta1.Networking
		status gardencorev1beta1.NetworkingStatus
		agent  agentconfig.Config
		ranges []nodeprefix.Range
	}{
		"pods from the node's prefix": {
			config: `"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}`,
			spec:   gardencorev1beta1.Networking{IPFamilies: ipv6, Nodes: new("2001:db8:1::/64")},
			status: gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"2001:db8:2::/112"}},
			agent:  agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96, ServiceCIDRs: []string{"2001:db8:2::/112"}},
			ranges: []nodeprefix.Range{{Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:1::/64"), NodeBits: 96, PodBits: 100, PodChild: 13, HoldsNodes: true}},
		},
		"pods of their own, routed, with an MTU and the fast path": {
			config: `"ranges":{"nodes":"v6global/64","pods":"v6private/48","services":"v6private/112"},"routing":{"mode":"Routed"},"mtu":1400,"fastPath":true`,
			spec:   gardencorev1beta1.Networking{IPFamilies: ipv6},
			status: gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"fd00:1::/48"}, Services: []string{"fd00:2::/112"}},
			agent:  agentconfig.Config{RoutingMode: agentconfig.Routed, IPFamilies: []string{"IPv6"}, MTU: 1400, FastPath: true, ServiceCIDRs: []string{"fd00:2::/112"}},
			ranges: []nodeprefix.Range{{Family: "IPv6", Pool: netip.MustParsePrefix("fd00:1::/48"), NodeBits: 64, PodBits: 64}},
		},
		"dual-stack, IPv6 first": {
			config: `"ranges":{"nodes":"v6global/64+prefix/96,v4private","pods":"v6fromNode,v4private","services":"v6global/64,v4private"}`,
			spec:   gardencorev1beta1.Networking{IPFamilies: both},
			status: gardencorev1beta1.NetworkingStatus{
				Nodes: []string{"2001:db8:1::/64", "10.250.0.0/16"}, Pods: []string{"2001:db8:1::/64", "100.96.0.0/11"}, Services: []string{"2001:db8:2::/112", "100.64.0.0/13"},
			},
			agent: agentconfig.Config{
				RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6", "IPv4"}, NodePrefixLengthIPv6: 96,
				MasqueradeIPv4: true, NonMasqueradeCIDRs: []string{"10.250.0.0/16", "100.96.0.0/11", "100.64.0.0/13"},
				ServiceCIDRs: []string{"2001:db8:2::/112", "100.64.0.0/13"},
			},
			ranges: []nodeprefix.Range{
				{Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:1::/64"), NodeBits: 96, PodBits: 100, PodChild: 13, HoldsNodes: true},
				{Family: "IPv4", Pool: netip.MustParsePrefix("100.96.0.0/11"), NodeBits: 24, PodBits: 24},
			},
		},
		"own CIDRs, in the spec alone": {
			config: `"ranges":{"nodes":"2001:db8:a::/64+prefix/96","pods":"v6fromNode/112","services":"2001:db8:b::/112"}`,
			spec:   gardencorev1beta1.Networking{IPFamilies: ipv6, Nodes: new("2001:db8:a::/64"), Pods: new("2001:db8:a::/64"), Services: new("2001:db8:b::/112")},
			agent:  agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96, ServiceCIDRs: []string{"2001:db8:b::/112"}},
			ranges: []nodeprefix.Range{{Family: "IPv6", Pool: netip.MustParsePrefix("2001:db8:a::/64"), NodeBits: 96, PodBits: 112, PodChild: -1, HoldsNodes: true}},
		},
		"somebody else brings the nodes' prefixes": {
			config: `"ranges":{"nodes":"custom+prefix/80","pods":"v6fromNode","services":"v6private"},"podSupernet":"2001:db8::/40"`,
			spec:   gardencorev1beta1.Networking{IPFamilies: ipv6},
			status: gardencorev1beta1.NetworkingStatus{Pods: []string{"2001:db8::/40"}, Services: []string{"fd00:2::/112"}},
			agent:  agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 80, ServiceCIDRs: []string{"fd00:2::/112"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d, err := decideFor(t, clusterWith(tc.config, tc.spec, tc.status))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(d.input.Agent).To(Equal(tc.agent))
			g.Expect(d.input.NodePrefixes.Ranges).To(Equal(tc.ranges))
			g.Expect(d.input.Replicas).To(Equal(int32(1)))
		})
	}
}

func TestDecideRefuses(t *testing.T) {
	ipv6 := gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}}
	const fromNode = `"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}`
	for name, tc := range map[string]struct {
		config string
		status gardencorev1beta1.NetworkingStatus
		want   string
		codes  []gardencorev1beta1.ErrorCode
	}{
		"no ranges yet": {
			config: fromNode,
			want: "the Shoot has no IPv6 range for services, for which \"v6global/64\" was asked\n" +
				"the Shoot has no IPv6 range for pods, for which \"v6fromNode\" was asked\n" +
				"the Shoot has no IPv6 range for nodes, for which \"v6global/64+prefix/96\" was asked",
		},
		"pods left to others, and nobody brought them": {
			config: `"ranges":{"nodes":"v6global/64","pods":"custom","services":"v6global/64"}`,
			status: gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Services: []string{"2001:db8:2::/112"}},
			want:   `the Shoot has no IPv6 range for pods, for which "custom" was asked`,
			codes:  []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorConfigurationProblem},
		},
		"the nodes' range is smaller than a node's prefix": {
			config: fromNode,
			status: gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/100"}, Pods: []string{"2001:db8:1::/100"}, Services: []string{"2001:db8:2::/112"}},
			want:   "the IPv6 range of nodes, 2001:db8:1::/100, is smaller than one node's prefix, a /96",
			codes:  []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorConfigurationProblem},
		},
		"two ranges of a family": {
			config: fromNode,
			status: gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64", "2001:db8:9::/64"}},
			want:   "the Shoot has two IPv6 ranges for nodes, 2001:db8:1::/64 and 2001:db8:9::/64; Kubernetes takes one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := decideFor(t, clusterWith(tc.config, ipv6, tc.status))
			g.Expect(err).To(MatchError(tc.want))
			g.Expect(v1beta1helper.ExtractErrorCodes(err)).To(Equal(tc.codes))
		})
	}
}

func TestDecideWhileAsleep(t *testing.T) {
	g := NewWithT(t)
	cluster := clusterWith(`"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}`,
		gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}},
		gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"2001:db8:2::/112"}})
	cluster.Shoot.Spec.Hibernation = &gardencorev1beta1.Hibernation{Enabled: new(true)}
	d, err := decideFor(t, cluster)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.input.Replicas).To(BeZero())
}

func TestStatusTellsWhatIsReserved(t *testing.T) {
	g := NewWithT(t)
	cluster := clusterWith(`"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}`,
		gardencorev1beta1.Networking{IPFamilies: []gardencorev1beta1.IPFamily{"IPv6"}},
		gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:1::/64"}, Pods: []string{"2001:db8:1::/64"}, Services: []string{"2001:db8:2::/112"}})
	pending := bound(v1alpha1.RangeServices, "2001:db8:2::/64")
	pending.Status.Phase = v1alpha1.PhaseReleasing
	d, err := decideFor(t, cluster, bound(v1alpha1.RangeNodes, "2001:db8:1::/56"), pending)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.status).To(Equal(v1alpha1.NetworkStatus{
		Ranges: []v1alpha1.RangeStatus{
			{Name: "nodes", Requested: "v6global/64+prefix/96", Reserved: []string{"2001:db8:1::/56"}, Published: []string{"2001:db8:1::/64"}},
			{Name: "pods", Requested: "v6fromNode", Published: []string{"2001:db8:1::/64"}},
			{Name: "services", Requested: "v6global/64", Published: []string{"2001:db8:2::/112"}},
		},
		NodePrefixLength: 96, PodPrefixLength: 100,
	}))
}
