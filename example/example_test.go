// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package example_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gardencoreinstall "github.com/gardener/gardener/pkg/apis/core/install"
	gardencorev1 "github.com/gardener/gardener/pkg/apis/core/v1"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	operatorv1alpha1 "github.com/gardener/gardener/pkg/apis/operator/v1alpha1"
	"github.com/gardener/gardener/pkg/chartrenderer"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
	confighelper "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	ipv6validation "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/planview"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

var decoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	gardencoreinstall.Install(scheme)
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, apiextensionsv1.AddToScheme, extensionsv1alpha1.AddToScheme, operatorv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// decode reads all documents of a file, without tolerance for fields that the API servers do not know.
func decode(t *testing.T, path string) []runtime.Object {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })

	var objects []runtime.Object
	reader := utilyaml.NewDocumentDecoder(file)
	for {
		document := make([]byte, 1<<16)
		n, err := reader.Read(document)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		object, _, err := decoder.Decode(document[:n], nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects = append(objects, object)
	}
}

func only[T runtime.Object](t *testing.T, path string) T {
	t.Helper()
	var found []T
	for _, object := range decode(t, path) {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	if len(found) != 1 {
		var none T
		t.Fatalf("%s holds %d objects of type %T, want one", path, len(found), none)
	}
	return found[0]
}

func TestComponentConfiguration(t *testing.T) {
	g := NewWithT(t)
	config, err := confighelper.Load("00-componentconfig.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Pools).To(HaveLen(2))
}

func TestDefinitionIsTheCharts(t *testing.T) {
	g := NewWithT(t)
	crd := only[*apiextensionsv1.CustomResourceDefinition](t, "10-crd-prefixreservations.yaml")
	g.Expect(crd.Name).To(Equal("prefixreservations.ipv6.networking.extensions.gardener.cloud"))
	data, err := os.ReadFile("10-crd-prefixreservations.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(data).To(Equal(charts.PrefixReservationCRD))
}

func TestNetwork(t *testing.T) {
	g := NewWithT(t)
	network := only[*extensionsv1alpha1.Network](t, "20-network.yaml")
	g.Expect(network.Spec.Type).To(Equal("ipv6"))
	config, err := helper.DecodeNetworkConfig(network.Spec.ProviderConfig)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ipv6validation.ValidateNetworkConfig(config, field.NewPath("spec", "providerConfig"))).To(BeEmpty())
}

func TestShoots(t *testing.T) {
	wants := map[string][]string{
		"30-shoot-global.yaml": {
			"families: IPv6",
			"reserve nodes-IPv6: Global /64, publish /64",
			"reserve services-IPv6: Global /64, publish /112",
			"pods IPv6: /100, child 13 of the node's /96 out of nodes",
		},
		"30-shoot-named-pool.yaml": {
			"families: IPv6",
			"reserve nodes-IPv6: Global /64, publish /64",
			"reserve services-IPv6: Global /64, publish /112",
			"pods IPv6: /100, child 13 of the node's /96 out of nodes",
		},
		"30-shoot-gitops.yaml": {
			"families: IPv6",
			"reserve nodes-IPv6: Global /64, publish /64",
			"reserve services-IPv6: Global /64, publish /112",
			"pods IPv6: /100, child 13 of the node's /96 out of nodes",
		},
		"30-shoot-private.yaml": {
			"families: IPv6",
			"reserve nodes-IPv6: Private /64, publish /64",
			"reserve services-IPv6: Private /112, publish /112",
			"pods IPv6: /100, child 13 of the node's /96 out of nodes",
		},
		"30-shoot-dual-stack.yaml": {
			"families: IPv6 IPv4",
			"fixed nodes-IPv4: 10.250.0.0/16",
			"fixed pods-IPv4: 100.96.0.0/11",
			"fixed services-IPv4: 100.64.0.0/13",
			"reserve nodes-IPv6: Global /64, publish /64",
			"reserve services-IPv6: Global /112, publish /112",
			"pods IPv6: /100, child 13 of the node's /96 out of nodes",
			"pods IPv4: /24, child 0 of the node's /24 out of pods",
		},
		"30-shoot-own-cidrs.yaml": {
			"families: IPv6",
			"fixed nodes-IPv6: 2001:db8:a000::/56",
			"fixed services-IPv6: 2001:db8:a000:100::/112",
			"pods IPv6: /84, child -1 of the node's /80 out of nodes",
			"routing: Routed: the infrastructure routes each node's prefix to its node",
		},
		"30-shoot-bgp.yaml": {
			"families: IPv6",
			"reserve nodes-IPv6: Global /56, publish /56",
			"reserve services-IPv6: Global /112, publish /112",
			"pods IPv6: /80, child -1 of the node's /64 out of nodes",
			"routing: BGP: AS 64512, 2001:db8:f:a::1 (AS 65001) on topology.kubernetes.io/zone=rack-a, 2001:db8:f:b::1 (AS 65002) on topology.kubernetes.io/zone=rack-b, graceful restart within 120s",
			"announced: each node's prefix, the services range, load balancers' addresses",
			"load balancers: public: 2001:db8:5::/112",
		},
		"30-shoot-aws.yaml": {
			"families: IPv6",
			"reserve nodes-IPv6: Global /64, publish /64",
			"reserve services-IPv6: Global /112, publish /112",
			"pods IPv6: /84, child 13 of the node's /80 out of nodes",
			"routing: Routed: the infrastructure routes each node's prefix to its node",
			"node prefix: Metadata (aws) for all nodes, if the infrastructure reports their range; else Pool",
		},
		"30-shoot-gcp.yaml": {
			"families: IPv6",
			"reserve nodes-IPv6: Global /64, publish /64",
			"reserve services-IPv6: Global /112, publish /112",
			"pods IPv6: /100, child 13 of the node's /96 out of nodes",
			"routing: Routed: the infrastructure routes each node's prefix to its node",
			"node prefix: Metadata (gcp) for all nodes",
		},
		"30-shoot-several-clouds.yaml": {
			"families: IPv6 IPv4",
			"fixed pods-IPv4: 100.96.0.0/11",
			"fixed services-IPv4: 100.64.0.0/13",
			"reserve services-IPv6: Private /112, publish /112",
			"pods IPv6: /112, child -1 of the node's /96 out of nodes",
			"pods IPv4: /24, child 0 of the node's /24 out of pods",
			"routing: Routed: the infrastructure routes each node's prefix to its node",
			"node prefix: Metadata (hetzner) for example.com/cloud=hetzner",
			"node prefix: DHCPv6PD (eth1) for example.com/cloud=office",
			"node prefix: Interface for example.com/cloud=colocation",
			"node prefix: Custom for all other nodes",
		},
		"30-shoot-vxlan.yaml": {
			"families: IPv4 IPv6",
			"fixed nodes-IPv4: 10.250.0.0/16",
			"fixed pods-IPv4: 100.96.0.0/11",
			"fixed services-IPv4: 100.64.0.0/13",
			"reserve pods-IPv6: Private /48, publish /48",
			"reserve services-IPv6: Private /112, publish /112",
			"pods IPv4: /24, child 0 of the node's /24 out of pods",
			"pods IPv6: /64, child 0 of the node's /64 out of pods",
			"encapsulation: CrossSubnet: packets to nodes behind a router, and of families that nodes lack, VXLAN 4096 at port 4789",
		},
	}
	files, err := filepath.Glob("30-shoot-*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			g := NewWithT(t)
			want, ok := wants[file]
			g.Expect(ok).To(BeTrue(), "no plan is expected for %s", file)

			shoot := only[*gardencorev1beta1.Shoot](t, file)
			config, err := helper.DecodeNetworkConfig(shoot.Spec.Networking.ProviderConfig)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(ipv6validation.ValidateNetworkConfig(config, field.NewPath("spec", "networking", "providerConfig"))).To(BeEmpty())

			planned, err := shootplan.Build(shoot, nil, nil)
			g.Expect(err).NotTo(HaveOccurred())
			around := ipv6validation.Surroundings{Plan: planned, ProviderType: shoot.Spec.Provider.Type}
			g.Expect(ipv6validation.ValidatePlanned(config, around, field.NewPath("spec", "networking", "providerConfig"))).To(BeEmpty())

			view, err := planview.Of(planned, nil)
			g.Expect(err).NotTo(HaveOccurred())
			view.Travel(config, planned, shoot.Spec.Provider.Type)
			g.Expect(append(summary(planned), travel(*view.Network)...)).To(Equal(want))
			g.Expect(view.Warnings).To(BeEmpty())
		})
	}
	NewWithT(t).Expect(files).To(HaveLen(len(wants)))
}

// summary of a plan, a line a fact.
func summary(p plan.Plan) []string {
	families := make([]string, 0, len(p.IPFamilies))
	for _, family := range p.IPFamilies {
		families = append(families, family.String())
	}
	lines := []string{"families: " + strings.Join(families, " ")}

	name := func(k plan.Key) string { return fmt.Sprintf("%s-%s", k.Range, k.Family) }
	for _, key := range slices.SortedFunc(maps.Keys(p.Fixed), func(a, b plan.Key) int { return strings.Compare(name(a), name(b)) }) {
		lines = append(lines, fmt.Sprintf("fixed %s: %s", name(key), p.Fixed[key]))
	}
	for _, r := range p.Requests {
		lines = append(lines, fmt.Sprintf("reserve %s: %s /%d, publish /%d", name(r.Key), r.Scope, r.Bits, r.PublishedBits))
	}
	for _, r := range p.NodeRanges {
		lines = append(lines, fmt.Sprintf("pods %s: /%d, child %d of the node's /%d out of %s", r.Family, r.PodBits, r.Child, r.NodeBits, r.From))
	}
	return lines
}

// travel tells what is not as it usually is, a line a fact.
func travel(n planview.Network) []string {
	var lines []string
	add := func(what, text, usual string) {
		if text != usual {
			lines = append(lines, what+": "+text)
		}
	}
	add("routing", n.Routing, "Direct: the nodes share a link")
	add("announced", n.Advertised, "")
	add("encapsulation", n.Encapsulation, "Never: packets travel as they are")
	for _, text := range n.NodePrefixes {
		add("node prefix", text, "Pool for all nodes")
	}
	for _, text := range n.LoadBalancers {
		add("load balancers", text, "")
	}
	return lines
}

// Whoever copies the example's pools must be able to create the example's shoots.
func TestPoolsServeTheShoots(t *testing.T) {
	g := NewWithT(t)
	config, err := confighelper.Load("00-componentconfig.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	pool := config.Pools[0]
	for _, file := range []string{"30-shoot-global.yaml", "30-shoot-dual-stack.yaml"} {
		planned, err := shootplan.Build(only[*gardencorev1beta1.Shoot](t, file), nil, nil)
		g.Expect(err).NotTo(HaveOccurred())
		for _, r := range planned.Requests {
			g.Expect(r.Family).To(Equal(prefix.IPv6))
			g.Expect(r.Bits).To(BeNumerically(">=", *pool.MinPrefixLength), "%s of %s", r.Range, file)
		}
	}
}

func TestSpecOrProviderConfigMeanTheSame(t *testing.T) {
	g := NewWithT(t)
	ranges := func(file string) keyword.Ranges {
		gathered, _, err := shootplan.Gather(only[*gardencorev1beta1.Shoot](t, file), nil)
		g.Expect(err).NotTo(HaveOccurred())
		return gathered
	}
	g.Expect(ranges("30-shoot-gitops.yaml")).To(Equal(ranges("30-shoot-global.yaml")))
}

// A registration's values must render the chart, and into a configuration that the extension accepts.
func TestRegistrations(t *testing.T) {
	render := func(t *testing.T, path string, raw []byte, seed string) *chartrenderer.RenderedChart {
		values := map[string]any{}
		NewWithT(t).Expect(yaml.Unmarshal(raw, &values)).To(Succeed())
		values["gardener"] = map[string]any{"seed": map[string]any{"name": seed}}
		rendered, err := chartrenderer.NewWithServerVersion(&version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}).
			RenderEmbeddedFS(charts.FS, path, "networking-ipv6", "extension-networking-ipv6", values)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return rendered
	}
	checkExtension := func(t *testing.T, resources []gardencorev1beta1.ControllerResource, raw []byte) {
		g := NewWithT(t)
		g.Expect(resources).To(HaveLen(1))
		g.Expect(resources[0].Kind).To(Equal(extensionsv1alpha1.NetworkResource))
		g.Expect(resources[0].Type).To(Equal(shootplan.NetworkType))

		var given []netip.Prefix
		for _, seed := range []string{"seed-a", "seed-b"} {
			configMap, _, err := decoder.Decode([]byte(render(t, charts.ExtensionPath, raw, seed).FileContent("configmap.yaml")), nil, nil)
			g.Expect(err).NotTo(HaveOccurred())
			config, err := confighelper.Decode([]byte(configMap.(*corev1.ConfigMap).Data["config.yaml"]))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(validation.ValidateControllerConfiguration(config)).To(BeEmpty())
			g.Expect(config.Pools).To(HaveLen(1))
			for _, text := range config.Pools[0].Prefixes {
				p := netip.MustParsePrefix(text)
				other, overlaps := prefix.OverlapsAny(p, given...)
				g.Expect(overlaps).To(BeFalse(), "%s of %s overlaps %s of another seed", p, seed, other)
				given = append(given, p)
			}
		}
	}

	t.Run("ControllerRegistration", func(t *testing.T) {
		g := NewWithT(t)
		registration := only[*gardencorev1beta1.ControllerRegistration](t, "controller-registration.yaml")
		deployment := only[*gardencorev1.ControllerDeployment](t, "controller-registration.yaml")
		g.Expect(registration.Spec.Deployment.DeploymentRefs).To(Equal([]gardencorev1beta1.DeploymentRef{{Name: deployment.Name}}))
		checkExtension(t, registration.Spec.Resources, deployment.Helm.Values.Raw)
		g.Expect(*deployment.Helm.OCIRepository.Ref).To(HaveSuffix("/gardener-extension-networking-ipv6:" + chartVersion(t, charts.ExtensionPath)))
	})
	t.Run("Extension", func(t *testing.T) {
		g := NewWithT(t)
		extension := only[*operatorv1alpha1.Extension](t, "extension.yaml")
		deployment := extension.Spec.Deployment
		checkExtension(t, extension.Spec.Resources, deployment.ExtensionDeployment.Values.Raw)
		render(t, charts.AdmissionRuntimePath, deployment.AdmissionDeployment.Values.Raw, "")
		render(t, charts.AdmissionApplicationPath, deployment.AdmissionDeployment.Values.Raw, "")

		for path, ref := range map[string]*string{
			charts.ExtensionPath:            deployment.ExtensionDeployment.Helm.OCIRepository.Ref,
			charts.AdmissionRuntimePath:     deployment.AdmissionDeployment.RuntimeCluster.Helm.OCIRepository.Ref,
			charts.AdmissionApplicationPath: deployment.AdmissionDeployment.VirtualCluster.Helm.OCIRepository.Ref,
		} {
			g.Expect(*ref).To(HaveSuffix("/" + chartName(t, path) + ":" + chartVersion(t, path)))
		}
	})
}

func chartField(t *testing.T, path, name string) string {
	t.Helper()
	data, err := charts.FS.ReadFile(path + "/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^` + name + `: (.*)$`).FindSubmatch(data)
	if match == nil {
		t.Fatalf("%s: no %s in Chart.yaml", path, name)
	}
	return string(match[1])
}

func chartName(t *testing.T, path string) string    { return chartField(t, path, "name") }
func chartVersion(t *testing.T, path string) string { return chartField(t, path, "version") }

// The table in the README is complete.
func TestEveryExampleIsListed(t *testing.T) {
	g := NewWithT(t)
	readme, err := os.ReadFile("README.md")
	g.Expect(err).NotTo(HaveOccurred())
	files, err := filepath.Glob("*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		g.Expect(string(readme)).To(ContainSubstring("[%s](%s)", file, file))
	}
}
