// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"strings"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const deniedBy = `admission webhook "mutator.admission-ipv6.extensions.gardener.cloud" denied the request: `

// TestInvalid sends every kind of mistake of docs/keywords.md and compares what the client reads.
func TestInvalid(t *testing.T) {
	for _, tc := range []struct {
		name                          string
		nodes, pods, services, config string
		families                      []gardencorev1beta1.IPFamily
		mask                          int32
		seed                          string
		want                          string
	}{
		// One text.
		{name: "unknown word", services: "v6globel", want: `
			spec.networking.services: Invalid value: "v6globel": unknown word "v6globel"; did you mean "v6global"?
			    v6globel
			    ^^^^^^^^`},
		{name: "in the providerConfig", config: `{"ranges":{"services":"v6globel"}}`, want: `
			spec.networking.providerConfig.ranges.services: Invalid value: "v6globel": unknown word "v6globel"; did you mean "v6global"?
			    v6globel
			    ^^^^^^^^`},
		{name: "empty", pods: " ", want: `
			spec.networking.pods: Invalid value: " ": the range is empty; leave it out, or write for example v6fromNode
			     
			    ^`},
		{name: "a word of another range", nodes: "v6fromNode", want: `
			spec.networking.nodes: Invalid value: "v6fromNode": v6fromNode belongs to pods only; write for example v6global/64+prefix/96
			    v6fromNode
			    ^^^^^^^^^^`},
		{name: "+prefix elsewhere", pods: "v6global+prefix/96", want: `
			spec.networking.pods: Invalid value: "v6global+prefix/96": +prefix belongs to a value of nodes, not of pods
			    v6global+prefix/96
			            ^^^^^^^^^^`},
		{name: "size where none is allowed", nodes: "v4private/16", want: `
			spec.networking.nodes: Invalid value: "v4private/16": v4private takes no size: the range is always 10.250.0.0/16; write v4private, or a CIDR of your own
			    v4private/16
			             ^^^`},
		{name: "size out of bounds", nodes: "v6private/47", want: `
			spec.networking.nodes: Invalid value: "v6private/47": the size of v6private lies between /48 and /112, not /47
			    v6private/47
			              ^^`},
		{name: "leading zero", nodes: "v6global/064", want: `
			spec.networking.nodes: Invalid value: "v6global/064": a size has no leading zero; write 64
			    v6global/064
			             ^^^`},
		{name: "+prefix out of bounds", nodes: "v6global/64+prefix/121", want: `
			spec.networking.nodes: Invalid value: "v6global/64+prefix/121": the size of +prefix lies between its range's size /64 and /120, not /121
			    v6global/64+prefix/121
			                       ^^^`},
		{name: "blank", nodes: "v6global /64", want: `
			spec.networking.nodes: Invalid value: "v6global /64": no blank is allowed inside a value; blanks may stand around the comma and at both ends
			    v6global /64
			            ^`},
		{name: "not canonical", nodes: "2001:db8::1/64", want: `
			spec.networking.nodes: Invalid value: "2001:db8::1/64": 2001:db8::1/64 has bits set behind its size; the canonical form is 2001:db8::/64
			    2001:db8::1/64
			    ^^^^^^^^^^^^^^`},
		{name: "link-local", nodes: "fe80::/64", want: `
			spec.networking.nodes: Invalid value: "fe80::/64": fe80::/64 holds link-local addresses, which can be nobody's nodes
			    fe80::/64
			    ^^^^^^^^^`},
		// Rules 1 to 8.
		{name: "rule 1", nodes: "v6global,v6private", want: `
			spec.networking.nodes: Invalid value: "v6global,v6private": v6global and v6private are both IPv6 values; a range has at most one value a family
			    v6global,v6private
			             ^^^^^^^^^`},
		{name: "rule 2", nodes: "nov6,v6global", want: `
			spec.networking.nodes: Invalid value: "nov6,v6global": nov6 says that the range has no IPv6, but v6global gives it some; leave out one of the two
			    nov6,v6global
			    ^^^^`},
		{name: "rule 3", nodes: "v6global/64", pods: "v6fromNode", services: "v6global", want: `
			spec.networking.pods: Invalid value: "v6fromNode": v6fromNode takes its addresses from each node's own prefix, but nodes have no IPv6 value with +prefix; write v6global/64+prefix/96 for nodes
			    v6fromNode
			    ^^^^^^^^^^`},
		{name: "rule 4", nodes: "v6global", pods: "v6global", services: "v6global", families: v46, want: `
			spec.networking.services: Invalid value: "v6global": ipFamilies are [IPv4, IPv6], but these services make them [IPv6]; leave ipFamilies out, or set them to [IPv6]
			    v6global
			    ^^^^^^^^`},
		{name: "rule 5", nodes: "v4private", pods: "v6global", services: "v6global", want: `
			spec.networking.nodes: Invalid value: "v4private": pods have IPv6, but nodes have none; add an IPv6 value, for example v6global/64, or set providerConfig.encapsulation.mode to Always
			    v4private
			    ^^^^^^^^^`},
		{name: "rule 6", nodes: "2001:db8::/32", pods: "2001:db8:1::/48", services: "v6global", want: `
			spec.networking.pods: Invalid value: "2001:db8:1::/48": 2001:db8:1::/48 overlaps the range of nodes, 2001:db8::/32; choose another range
			    2001:db8:1::/48
			    ^^^^^^^^^^^^^^^`},
		{name: "rule 6, the Seed", seed: seedPlain, nodes: "2001:db8:aa::/60", pods: "v6global", services: "v6global", want: `
			spec.networking.nodes: Invalid value: "2001:db8:aa::/60": 2001:db8:aa::/60 overlaps the Seed's network 2001:db8:aa::/64; choose another range
			    2001:db8:aa::/60
			    ^^^^^^^^^^^^^^^^`},
		{name: "rule 6, Gardener's own", nodes: "v6global", pods: "v6global", services: "fd8f:6d53:b97a:1::/112", want: `
			spec.networking.services: Invalid value: "fd8f:6d53:b97a:1::/112": fd8f:6d53:b97a:1::/112 overlaps fd8f:6d53:b97a:1::/96, which Gardener keeps for the VPN; choose another range
			    fd8f:6d53:b97a:1::/112
			    ^^^^^^^^^^^^^^^^^^^^^^`},
		{name: "a node mask that does not fit", nodes: "v6global", pods: "v6global/80", services: "v6global", mask: 72, want: `
			spec.networking.pods: Invalid value: "v6global/80": the node mask /72 does not fit a pods range of /80: every node gets a part of that range, and Gardener accepts /64 to /124; set nodeCIDRMaskSize to between 81 and 124, or leave it out
			    v6global/80
			    ^^^^^^^^^^^`},
		// Two places.
		{name: "a contradiction", nodes: "v6global", config: `{"ranges":{"nodes":"v6private"}}`, want: `
			spec.networking.nodes: Invalid value: "v6global": contradicts spec.networking.providerConfig.ranges.nodes, which is "v6private": give the range in one of the two fields, or the same in both`},
		{name: "a CIDR beside a keyword", nodes: "2001:db8::/64", config: `{"ranges":{"nodes":"v6global"}}`, want: `
			spec.networking.nodes: Invalid value: "2001:db8::/64": contradicts spec.networking.providerConfig.ranges.nodes, which is "v6global": give the range in one of the two fields, or the same in both`},
		// The providerConfig.
		{name: "unknown field", config: `{"rangs":{}}`, want: `
			spec.networking.providerConfig: Invalid value: decoding NetworkConfig: strict decoding error: unknown field "rangs"`},
		{name: "overlay", nodes: "v6global", pods: "v6global", services: "v6global", config: `{"overlay":{"enabled":true}}`, want: `
			spec.networking.providerConfig.overlay.enabled: Invalid value: true: must be false: it is what the admission of some providers writes; what network type "ipv6" encapsulates is said in encapsulation.mode`},
		{name: "BGP with mistakes", nodes: "v6global+prefix/96", pods: "v6fromNode", services: "v6global",
			config: `{"routing":{"mode":"BGP","bgp":{"asn":0,"peers":[{"address":"2001:db8::1","asn":65000,"localPreference":100}]}}}`, want: `
			spec.networking.providerConfig.routing.bgp.asn: Invalid value: 0: must be from 1 to 4294967294; private ones are 64512 to 65534 and 4200000000 to 4294967294 (RFC 6996)
			spec.networking.providerConfig.routing.bgp.peers[0].localPreference: Forbidden: is told to internal peers only, but this one has AS 65000 and the nodes have AS 0; routers of another AS go by communities`},
		{name: "a pool within the nodes", nodes: "2001:db8:1::/64+prefix/96", pods: "v6fromNode", services: "v6global",
			config: `{"loadBalancer":{"pools":[{"name":"a","prefixes":["2001:db8:1::/112"]}]}}`, want: `
			spec.networking.providerConfig.loadBalancer.pools[0].prefixes[0]: Invalid value: "2001:db8:1::/112": overlaps the range of nodes, 2001:db8:1::/64; choose a range that nothing else has`},
		{name: "a source for nothing", nodes: "v6global", pods: "v6global", services: "v6global", config: `{"nodePrefix":{"sources":[{"source":"DHCPv6PD"}]}}`, want: `
			spec.networking.providerConfig.nodePrefix.sources[0].source: Invalid value: "DHCPv6PD": gives each node a prefix of its own, but the pods have a range for themselves; write v6fromNode for pods, or leave the source out`},
		{name: "a supernet that has no use", nodes: "v6global+prefix/96", pods: "v6fromNode", services: "v6global", config: `{"podSupernet":"2001:db8::/40"}`, want: `
			spec.networking.pods: Invalid value: "v6fromNode": providerConfig.podSupernet, 2001:db8::/40, is for IPv6 pods that come from nodes that are custom; here it would be a second pods range; leave podSupernet out
			    v6fromNode
			    ^^^^^^^^^^`},
		{name: "an odd name of a backend", services: "v6global", config: `{"ipam":{"backend":"My Cloud"}}`, want: `
			spec.networking.providerConfig.ipam.backend: Invalid value: "My Cloud": must be a name that the landscape's operator published, or be left out for the operator's choice: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`},
		{name: "a backend of private prefixes", services: "v6private", config: `{"ipam":{"backend":"ula"}}`, want: `
			spec.networking.providerConfig.ipam.backend: Invalid value: "ula": names no place to reserve global prefixes in: what is private is drawn at random; ask for it with v6private`},
		{name: "a backend for nothing", nodes: "v6private", pods: "v6private", services: "v6private", config: `{"ipam":{"backend":"neutron","pool":"public"}}`, want: `
			spec.networking.providerConfig.ipam: Forbidden: tells where v6global ranges are reserved, and no range is v6global; leave it out, or ask for example for services v6global/64`},
		// All at once.
		{name: "several", nodes: "v6globel", pods: "v6fromnode", config: `{"mtu":100}`, want: `
			spec.networking.providerConfig.mtu: Invalid value: 100: must be from 1280, the least that carries IPv6, to 65535; without it the pods get the MTU of their node's uplink
			spec.networking.nodes: Invalid value: "v6globel": unknown word "v6globel"; did you mean "v6global"?
			    v6globel
			    ^^^^^^^^
			spec.networking.pods: Invalid value: "v6fromnode": unknown word "v6fromnode"; did you mean "v6fromNode"?
			    v6fromnode
			    ^^^^^^^^^^`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := NewWithT(t)
			shoot := networking(newShoot("invalid"), tc.nodes, tc.pods, tc.services, tc.config)
			shoot.Spec.Networking.IPFamilies = tc.families
			if tc.mask != 0 {
				shoot.Spec.Kubernetes.KubeControllerManager = &gardencorev1beta1.KubeControllerManagerConfig{NodeCIDRMaskSize: &tc.mask}
			}
			if tc.seed != "" {
				shoot.Spec.SeedName = &tc.seed
			}
			err := garden.Create(context.Background(), shoot, client.DryRunAll)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(Equal(deniedBy + paragraphs(tc.want)))
		})
	}
}

// paragraphs takes out the indentation that the literals have for the sake of the file, and adds the heading of more than one line.
func paragraphs(s string) string {
	s = strings.ReplaceAll(strings.TrimPrefix(s, "\n\t\t\t"), "\n\t\t\t", "\n")
	if strings.Contains(s, "\n") {
		return "the Shoot's networking has mistakes:\n" + s
	}
	return s
}

func TestKubectlShowsTheCaret(t *testing.T) {
	g := NewWithT(t)
	out, err := kubectl(t, manifest("caret", "    pods: v6fromnode/100"), "apply", "-f", "-")
	g.Expect(err).To(HaveOccurred())
	g.Expect(out).To(HaveSuffix(`the Shoot's networking has mistakes:
spec.networking.pods: Invalid value: "v6fromnode/100": unknown word "v6fromnode"; did you mean "v6fromNode"?
    v6fromnode/100
    ^^^^^^^^^^
`))
}

func TestKubeProxyMustBeOn(t *testing.T) {
	g := NewWithT(t)
	shoot := networking(newShoot("proxy"), "v6global", "v6global", "v6global", "")
	shoot.Spec.Kubernetes.KubeProxy = &gardencorev1beta1.KubeProxyConfig{Enabled: new(false)}
	g.Expect(garden.Create(context.Background(), shoot, client.DryRunAll)).To(MatchError(deniedBy +
		`spec.kubernetes.kubeProxy.enabled: Invalid value: false: network type "ipv6" leaves Services to kube-proxy and has no replacement for it; set it to true, or leave it out`))
}

// TestIPAMIsForLife: what is reserved stays where it is.
func TestIPAMIsForLife(t *testing.T) {
	ctx := context.Background()
	g := NewWithT(t)
	const (
		path    = "spec.networking.providerConfig.ipam"
		already = ": the ranges are reserved already"
	)
	create := func(name, ipam string) {
		g.Expect(garden.Create(ctx, networking(newShoot(name), "v6global", "v6global", "v6global", header+ipam+"}"))).To(Succeed())
	}
	change := func(name, ipam string) error {
		shoot := get(t, name)
		patch := client.MergeFrom(shoot.DeepCopy())
		networking(shoot, "", "", "", header+ipam+"}")
		return garden.Patch(ctx, shoot, patch)
	}
	create("ipam", `,"ipam":{"backend":"neutron","pool":"public"}`)
	g.Expect(string(get(t, "ipam").Spec.Networking.ProviderConfig.Raw)).To(ContainSubstring(`"ipam":{"backend":"neutron","pool":"public"}`))
	g.Expect(change("ipam", `,"ipam":{"backend":"neutron","pool":"other"}`)).To(MatchError(deniedBy + path + `.pool: Invalid value: "other": was public and cannot be changed` + already))
	g.Expect(change("ipam", `,"ipam":{"backend":"neutron"}`)).To(MatchError(deniedBy + path + `.pool: Required value: was public and cannot be taken back` + already))
	g.Expect(change("ipam", ``)).To(MatchError(ContainSubstring(path + `.backend: Required value: was neutron and cannot be taken back` + already)))
	g.Expect(change("ipam", `,"mtu":1400,"ipam":{"backend":"neutron","pool":"public"}`)).To(Succeed())

	create("noipam", ``)
	g.Expect(change("noipam", `,"ipam":{"backend":"pool"}`)).To(MatchError(deniedBy + path + `.backend: Invalid value: "pool": was the operator's choice and cannot be given later` + already))

	private := networking(newShoot("later"), "v6private", "v6private", "", "")
	g.Expect(garden.Create(ctx, private)).To(Succeed())
	g.Expect(change("later", `,"ranges":{"services":"v6global"},"ipam":{"backend":"pool"}`)).To(Succeed(), "nothing was reserved before")
}

// TestInvalidUpdates is rule 9, as the owner edits the keyword in either place.
func TestInvalidUpdates(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	g.Expect(garden.Create(ctx, networking(newShoot("rule9"), "v6global/64+prefix/96", "v6fromNode", "v6global/64", ""))).To(Succeed())
	pin(t, "rule9", "2001:db8:9::/64")
	for name, tc := range map[string]struct {
		change func(*gardencorev1beta1.Shoot)
		want   string
	}{
		"pods, in the spec": {func(s *gardencorev1beta1.Shoot) { s.Spec.Networking.Pods = new("v6fromNode/112") }, `
			spec.networking.pods: Invalid value: "v6fromNode/112": the range was v6fromNode, and what it means cannot be changed; write v6fromNode
			    v6fromNode/112
			    ^^^^^^^^^^^^^^`},
		"services, in the providerConfig": {func(s *gardencorev1beta1.Shoot) {
			networking(s, "", "", "", header+`,"ranges":{"services":"v6private"}}`)
		}, `
			spec.networking.providerConfig.ranges.services: Invalid value: "v6private": the range was v6global/64, and what it means cannot be changed; write v6global/64
			    v6private
			    ^^^^^^^^^`},
		"nodes shrink": {func(s *gardencorev1beta1.Shoot) { s.Spec.Networking.Nodes = new("v6global/72+prefix/96") }, `
			spec.networking.nodes: Invalid value: "v6global/72+prefix/96": the range was v6global/64+prefix/96, and what was reserved for it keeps its size; only nodes that are a CIDR of one's own may be widened; write v6global/64+prefix/96
			    v6global/72+prefix/96
			    ^^^^^^^^^^^^^^^^^^^^^`},
		"reserved nodes grow": {func(s *gardencorev1beta1.Shoot) {
			networking(s, "", "", "", header+`,"ranges":{"nodes":"v6global/60+prefix/96"}}`)
		}, `
			spec.networking.providerConfig.ranges.nodes: Invalid value: "v6global/60+prefix/96": the range was v6global/64+prefix/96, and what was reserved for it keeps its size; only nodes that are a CIDR of one's own may be widened; write v6global/64+prefix/96
			    v6global/60+prefix/96
			    ^^^^^^^^^^^^^^^^^^^^^`},
		"nodes get another CIDR than gardenlet pinned": {func(s *gardencorev1beta1.Shoot) { s.Spec.Networking.Nodes = new("2001:db8:a::/64+prefix/96") }, `
			spec.networking.nodes: Invalid value: "2001:db8:a::/64+prefix/96": the range was v6global/64+prefix/96; nodes may be widened from one CIDR to a larger one, but not be changed otherwise; write v6global/64+prefix/96
			    2001:db8:a::/64+prefix/96
			    ^^^^^^^^^^^^^^^^^^^^^^^^^`},
		"kube-proxy": {func(s *gardencorev1beta1.Shoot) {
			s.Spec.Kubernetes.KubeProxy = &gardencorev1beta1.KubeProxyConfig{Enabled: new(false)}
		}, `
			spec.kubernetes.kubeProxy.enabled: Invalid value: false: network type "ipv6" leaves Services to kube-proxy and has no replacement for it; set it to true, or leave it out`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			shoot := get(t, "rule9")
			tc.change(shoot)
			err := garden.Update(ctx, shoot)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(Equal(deniedBy + paragraphs(tc.want)))
		})
	}
}

// TestFalsePin: what gardenlet may write into an empty spec.networking.nodes nobody else may, once the nodes are published.
func TestFalsePin(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	shoot := networking(newShoot("false-pin"), "v6global/64+prefix/96", "v6fromNode", "v6global/64", "")
	g.Expect(garden.Create(ctx, shoot)).To(Succeed())
	patch := client.MergeFrom(shoot.DeepCopy())
	shoot.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: []string{"2001:db8:9::/64"}, Pods: []string{"2001:db8:9::/64"}, Services: []string{"2001:db8:5::/112"}}
	g.Expect(garden.Status().Patch(ctx, shoot, patch)).To(Succeed())

	shoot = get(t, "false-pin")
	shoot.Spec.Networking.Nodes = new("2001:db8:a::/64")
	g.Expect(garden.Update(ctx, shoot)).To(MatchError(ContainSubstring(`spec.networking.nodes: Invalid value: "2001:db8:a::/64": `)))
	shoot.Spec.Networking.Nodes = new("2001:db8:9::/64")
	g.Expect(garden.Update(ctx, shoot)).To(Succeed())
}

// TestPodsComeFromTheOwnersNodes: the nodes are the pods range then, and that is for life.
func TestPodsComeFromTheOwnersNodes(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	g.Expect(garden.Create(ctx, networking(newShoot("own-nodes"), "2001:db8:10::/48+prefix/96", "v6fromNode", "v6private", ""))).To(Succeed())
	shoot := networking(get(t, "own-nodes"), "2001:db8::/32+prefix/96", "", "", "")
	g.Expect(garden.Update(ctx, shoot)).To(MatchError(deniedBy + paragraphs(`
			spec.networking.nodes: Invalid value: "2001:db8::/32+prefix/96": the range was 2001:db8:10::/48+prefix/96, and the pods come from it; nodes cannot be widened then, because the cluster's pods range cannot be changed; write 2001:db8:10::/48+prefix/96
			    2001:db8::/32+prefix/96
			    ^^^^^^^^^^^^^^^^^^^^^^^`)))
}
