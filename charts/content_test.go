// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardener/gardener/pkg/utils/imagevector"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/validation"
)

func configOf(t *testing.T, valuesFile string) *configv1alpha1.ControllerConfiguration {
	t.Helper()
	objects := decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, values(t, valuesFile)))
	config, err := helper.Decode([]byte(find[*corev1.ConfigMap](t, objects).Data["config.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	if errs := validation.ValidateControllerConfiguration(config); len(errs) > 0 {
		t.Fatal(errs)
	}
	return config
}

func TestComponentConfiguration(t *testing.T) {
	t.Run("by default there is no pool", func(t *testing.T) {
		g := NewWithT(t)
		config := configOf(t, "")
		g.Expect(config.Pools).To(BeEmpty())
		g.Expect(config.GardenID).To(BeEmpty())
		g.Expect(config.Quarantine.Duration).To(Equal(time.Hour))
	})
	t.Run("every value arrives", func(t *testing.T) {
		g := NewWithT(t)
		config := configOf(t, "extension-values.yaml")
		g.Expect(config.GardenID).To(Equal("my-garden"))
		g.Expect(config.Quarantine.Duration).To(Equal(24 * time.Hour))
		g.Expect(config.ClientConnection.QPS).To(BeEquivalentTo(5))
		g.Expect(config.ClientConnection.Burst).To(BeEquivalentTo(10))
		g.Expect(config.Pools).To(Equal([]configv1alpha1.Pool{
			{Name: "example", Prefixes: []string{"2001:db8:1000::/36", "2001:db8:3000::/36"}, MinPrefixLength: ptr.To[int32](48), MaxPrefixLength: ptr.To[int32](112)},
			{Name: "other", Prefixes: []string{"2001:db8:2000::/36"}, MaxPrefixLength: ptr.To[int32](120)},
		}))
	})
	t.Run("backends arrive in their order", func(t *testing.T) {
		g := NewWithT(t)
		config := configOf(t, "extension-values.yaml")
		g.Expect(config.SeedName).To(Equal("seed"))
		var names []string
		for _, b := range config.Backends {
			names = append(names, string(b.Type)+" "+b.Name)
		}
		g.Expect(names).To(Equal([]string{"openstack neutron", "aws vpc", "gcp compute", "clusterapi metal", "ironcore iron", "ironcore elsewhere"}))
		g.Expect(config.Backends[1]).To(Equal(configv1alpha1.Backend{
			Name: "vpc", Type: configv1alpha1.BackendAWS, SecretName: ptr.To("vpc-ipam"), Region: ptr.To("eu-central-1"), Endpoint: ptr.To("https://ec2.eu-central-1.api.aws"),
			Pools: []configv1alpha1.BackendPool{{
				Name: "nodes", ID: "ipam-pool-0123456789abcdef0", MinPrefixLength: 44, MaxPrefixLength: 60,
				Selector: configv1alpha1.Selector{Ranges: []string{"nodes", "pods"}},
			}},
		}))
	})
	t.Run("the operator may name the seed", func(t *testing.T) {
		objects := decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, map[string]any{
			"config":   map[string]any{"seedName": "mine", "poolsPerSeed": map[string]any{"mine": []any{map[string]any{"name": "a", "prefixes": []any{"2001:db8::/36"}}}}},
			"gardener": map[string]any{"seed": map[string]any{"name": "gardenlets"}},
		}))
		config, err := helper.Decode([]byte(find[*corev1.ConfigMap](t, objects).Data["config.yaml"]))
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(config.SeedName).To(Equal("mine"))
		NewWithT(t).Expect(config.Pools).To(HaveLen(1))
	})
	t.Run("a seed that is not named has the common pools only", func(t *testing.T) {
		objects := decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, map[string]any{
			"config":   map[string]any{"poolsPerSeed": map[string]any{"one": []any{map[string]any{"name": "a", "prefixes": []any{"2001:db8::/36"}}}}},
			"gardener": map[string]any{"seed": map[string]any{"name": "two"}},
		}))
		NewWithT(t).Expect(find[*corev1.ConfigMap](t, objects).Data["config.yaml"]).NotTo(ContainSubstring("pools"))
	})
	t.Run("gardenlet's identity is the default", func(t *testing.T) {
		objects := decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, map[string]any{
			"gardener": map[string]any{"garden": map[string]any{"clusterIdentity": "from-gardenlet"}},
		}))
		NewWithT(t).Expect(find[*corev1.ConfigMap](t, objects).Data["config.yaml"]).To(ContainSubstring(`gardenID: "from-gardenlet"`))
	})
}

func TestPodsAreConfined(t *testing.T) {
	for _, v := range variants {
		if v.path == charts.AdmissionApplicationPath {
			continue // deploys nothing that runs
		}
		t.Run(v.name, func(t *testing.T) {
			g := NewWithT(t)
			objects := decode(t, render(t, v.path, v.release, v.namespace, values(t, v.values)))
			pod := find[*appsv1.Deployment](t, objects).Spec.Template.Spec
			g.Expect(pod.PriorityClassName).NotTo(BeEmpty())
			g.Expect(pod.SecurityContext.RunAsNonRoot).To(HaveValue(BeTrue()))
			g.Expect(pod.SecurityContext.SeccompProfile.Type).To(Equal(corev1.SeccompProfileTypeRuntimeDefault))
			for _, container := range pod.Containers {
				g.Expect(container.SecurityContext.ReadOnlyRootFilesystem).To(HaveValue(BeTrue()))
				g.Expect(container.SecurityContext.AllowPrivilegeEscalation).To(HaveValue(BeFalse()))
				g.Expect(container.SecurityContext.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
				g.Expect(container.LivenessProbe).NotTo(BeNil())
				g.Expect(container.ReadinessProbe).NotTo(BeNil())
			}
		})
	}
}

// A rule with a wildcard, or one that lets its holder become somebody else, would be the whole cluster's.
func TestPermissionsAreNarrow(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			g := NewWithT(t)
			for _, object := range decode(t, render(t, v.path, v.release, v.namespace, values(t, v.values))) {
				var rules []rbacv1.PolicyRule
				switch role := object.(type) {
				case *rbacv1.ClusterRole:
					rules = role.Rules
				case *rbacv1.Role:
					rules = role.Rules
				}
				for _, rule := range rules {
					g.Expect(slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)).NotTo(ContainElement("*"))
					g.Expect(rule.Verbs).NotTo(ContainElement(BeElementOf("escalate", "bind", "impersonate", "deletecollection")))
					if slices.Contains(rule.Resources, "secrets") && object.GetNamespace() == "" {
						g.Expect(rule.Verbs).NotTo(ContainElement(BeElementOf("list", "watch")), "a ClusterRole must not read all secrets")
					}
				}
			}
		})
	}
}

func TestImageByTagOrDigest(t *testing.T) {
	g := NewWithT(t)
	image := func(values map[string]any) string {
		objects := decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, values))
		return find[*appsv1.Deployment](t, objects).Spec.Template.Spec.Containers[0].Image
	}
	g.Expect(image(map[string]any{"image": map[string]any{"repository": "example.org/x", "tag": "v1"}})).To(Equal("example.org/x:v1"))
	g.Expect(image(map[string]any{"image": map[string]any{"repository": "example.org/x", "tag": "sha256:abc"}})).To(Equal("example.org/x@sha256:abc"))
}

func TestImageVector(t *testing.T) {
	g := NewWithT(t)
	vector, _, err := imagevector.Read([]byte(charts.ImagesYAML))
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{charts.ImageAgent, charts.ImageIPAMController} {
		image, err := vector.FindImage(name)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(image.String()).To(Equal("ghcr.io/gardener/gardener-extension-networking-ipv6/" + name + ":" + repositoryVersion(t)))
	}
}

// Whoever bumps VERSION runs "make generate", which writes it into the charts and the image vector.
func TestVersionsFollowTheRepository(t *testing.T) {
	version := repositoryVersion(t)
	for _, path := range []string{charts.ExtensionPath, charts.AdmissionRuntimePath, charts.AdmissionApplicationPath} {
		g := NewWithT(t)
		var chart struct{ Version, AppVersion string }
		readYAML(t, filepath.Join(path, "Chart.yaml"), &chart)
		g.Expect(chart.Version).To(Equal(strings.TrimPrefix(version, "v")), path)
		g.Expect(chart.AppVersion).To(Equal(version), path)

		var values struct{ Image struct{ Tag string } }
		readYAML(t, filepath.Join(path, "values.yaml"), &values)
		if path != charts.AdmissionApplicationPath {
			g.Expect(values.Image.Tag).To(Equal(version), path)
		}
	}
}

// Each value is in the chart's README, so that no operator has to read templates.
func TestEveryValueIsDocumented(t *testing.T) {
	for _, path := range []string{charts.ExtensionPath, charts.AdmissionRuntimePath, charts.AdmissionApplicationPath} {
		t.Run(path, func(t *testing.T) {
			g := NewWithT(t)
			readme, err := os.ReadFile(filepath.Join(path, "README.md"))
			g.Expect(err).NotTo(HaveOccurred())
			documented := sets.New[string]()
			for line := range strings.Lines(string(readme)) {
				if name, ok := strings.CutPrefix(line, "| `"); ok {
					documented.Insert(name[:strings.Index(name, "`")])
				}
			}
			var tree map[string]any
			readYAML(t, filepath.Join(path, "values.yaml"), &tree)
			existing := sets.New[string]()
			leaves("", tree, existing)
			g.Expect(sets.List(documented.Difference(existing))).To(BeEmpty(), "documented, but no values")
			g.Expect(sets.List(existing.Difference(documented))).To(BeEmpty(), "values that are not documented")
		})
	}
}

// leaves collects the dotted names of all values; lists and empty maps are leaves.
func leaves(prefix string, value any, names sets.Set[string]) {
	tree, ok := value.(map[string]any)
	if !ok || len(tree) == 0 {
		names.Insert(prefix)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		name := key
		if prefix != "" {
			name = prefix + "." + key
		}
		leaves(name, tree[key], names)
	}
}

func TestPrefixReservationCRDIsTheCharts(t *testing.T) {
	g := NewWithT(t)
	crd := find[*apiextensionsv1.CustomResourceDefinition](t, decode(t, render(t, charts.ExtensionPath, "networking-ipv6", namespace, nil)))
	var embedded apiextensionsv1.CustomResourceDefinition
	g.Expect(yaml.UnmarshalStrict(charts.PrefixReservationCRD, &embedded)).To(Succeed())
	g.Expect(crd).To(Equal(&embedded))
}

func repositoryVersion(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func readYAML(t *testing.T, path string, out any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
