// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package example_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	gardencorev1 "github.com/gardener/gardener/pkg/apis/core/v1"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/chartrenderer"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
	confighelper "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// Each example of a configuration is valid, and serves the ranges of some Shoots as its comments say.
func TestIPAMConfigurations(t *testing.T) {
	type shoot struct {
		provider, region string
		// nodes and services are who serves a /64 and a /112.
		nodes, services string
	}
	const nobody = "nobody"
	wants := map[string][]shoot{
		"01-ipam-openstack.yaml": {
			{"openstack", "eu-1", "neutron: public spare", "neutron: public spare"},
			{"openstack", "eu-2", nobody, nobody},
			{"metal", "eu-1", nobody, nobody},
		},
		"01-ipam-openstack-operator.yaml": {
			{"openstack", "eu-1", "neutron: public", "neutron: public"},
			{"metal", "anywhere", "neutron: public", "neutron: public"},
			{"aws", "eu-1", nobody, nobody},
		},
		"01-ipam-aws.yaml": {{"aws", "eu-central-1", nobody, "vpc-ipam: services"}, {"gcp", "eu-central-1", nobody, nobody}},
		"01-ipam-gcp.yaml": {
			{"gcp", "europe-west1", nobody, "compute: west"},
			{"gcp", "europe-north1", nobody, "compute: north"},
			{"gcp", "us-east1", nobody, nobody},
		},
		"01-ipam-clusterapi.yaml": {{"metal", "rack-7", "rack: nodes", "rack: services"}},
		"01-ipam-ironcore.yaml":   {{"ironcore", "a", "ironcore: public", "ironcore: public"}, {"openstack", "a", nobody, nobody}},
		"01-ipam-several.yaml": {
			{"metal", "rack-7", "pool: bare-metal", "pool: bare-metal services"},
			{"openstack", "eu-1", "neutron: public", "pool: services"},
			{"openstack", "eu-2", "neutron-south: public", "pool: services"},
			{"aws", "eu-1", nobody, "pool: services"},
		},
	}
	files, err := filepath.Glob("01-ipam-*.yaml")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(files).To(HaveLen(len(wants)))
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			g := NewWithT(t)
			offers := offersOf(g, file)
			serves := func(s shoot, name keyword.Name, bits int) string {
				place := reservation.Place{ProviderType: s.provider, Region: s.region, Seed: "seed-a"}
				request := reservation.Request{Key: plan.Key{Range: name, Family: prefix.IPv6}, Scope: plan.Global, Bits: bits}
				return chosen(reservation.Choose(offers, place, request))
			}
			for _, s := range wants[file] {
				g.Expect(serves(s, keyword.Nodes, 64)).To(Equal(s.nodes), "nodes of %+v", s)
				g.Expect(serves(s, keyword.Services, 112)).To(Equal(s.services), "services of %+v", s)
			}
		})
	}
}

func offersOf(g *WithT, file string) []reservation.Offer {
	config, err := confighelper.Load(file)
	g.Expect(err).NotTo(HaveOccurred())
	offers, err := confighelper.Offers(config)
	g.Expect(err).NotTo(HaveOccurred())
	return offers
}

func chosen(offer reservation.Offer, request reservation.Request, err error) string {
	if err != nil {
		return "nobody"
	}
	return fmt.Sprintf("%s: %s", offer.Backend, strings.Join(request.Pools, " "))
}

// The Shoot that names a pool gets it where the example's operator allows it, and only there.
func TestNamedPool(t *testing.T) {
	g := NewWithT(t)
	shoot := only[*gardencorev1beta1.Shoot](t, "30-shoot-named-pool.yaml")
	backend, pool, err := shootplan.IPAM(shoot)
	g.Expect(err).NotTo(HaveOccurred())
	planned, err := shootplan.Build(shoot, nil, nil)
	g.Expect(err).NotTo(HaveOccurred())
	for file, want := range map[string]string{
		"01-ipam-openstack.yaml": "neutron: spare", "01-ipam-openstack-operator.yaml": "nobody", "01-ipam-several.yaml": "nobody",
	} {
		for _, r := range planned.Requests {
			place := reservation.Place{ProviderType: shoot.Spec.Provider.Type, Region: shoot.Spec.Region, Seed: "seed-a"}
			request := reservation.Request{Key: r.Key, Scope: r.Scope, Bits: r.Bits, Backend: backend, Pool: pool}
			g.Expect(chosen(reservation.Choose(offersOf(g, file), place, request))).To(Equal(want), "%s of %s", r.Range, file)
		}
	}
}

// What gardenlet puts in place of the references arrives in the Secret that the backend names.
func TestRegistrationWithIPAM(t *testing.T) {
	g := NewWithT(t)
	const file = "controller-registration-ipam.yaml"
	deployment := only[*gardencorev1.ControllerDeployment](t, file)
	account := only[*corev1.Secret](t, file)
	g.Expect(account.Labels).To(HaveKeyWithValue("gardener.cloud/role", "resource-reference"))
	g.Expect(deployment.Resources).To(HaveLen(1))
	g.Expect(deployment.Resources[0].ResourceRef.Name).To(Equal(account.Name))

	g.Expect(*deployment.Helm.OCIRepository.Ref).To(HaveSuffix("/gardener-extension-networking-ipv6:" + chartVersion(t, charts.ExtensionPath)))

	raw := string(deployment.Helm.Values.Raw)
	for key, text := range account.StringData {
		raw = strings.ReplaceAll(raw, "{{ .resources."+deployment.Resources[0].Name+".data."+key+" }}", text)
	}
	g.Expect(raw).NotTo(ContainSubstring("{{"))
	values := map[string]any{}
	g.Expect(yaml.Unmarshal([]byte(raw), &values)).To(Succeed())
	values["gardener"] = map[string]any{"seed": map[string]any{"name": "seed-a"}, "garden": map[string]any{"clusterIdentity": "garden"}}
	rendered, err := chartrenderer.NewWithServerVersion(&version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}).
		RenderEmbeddedFS(charts.FS, charts.ExtensionPath, "networking-ipv6", "extension-networking-ipv6", values)
	g.Expect(err).NotTo(HaveOccurred())

	configMap, _, err := decoder.Decode([]byte(rendered.FileContent("configmap.yaml")), nil, nil)
	g.Expect(err).NotTo(HaveOccurred())
	config, err := confighelper.Read([]byte(configMap.(*corev1.ConfigMap).Data["config.yaml"]))
	g.Expect(err).NotTo(HaveOccurred())
	secret, _, err := decoder.Decode([]byte(rendered.FileContent("secrets.yaml")), nil, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(secret.(*corev1.Secret).Name).To(Equal(*config.Backends[0].SecretName))
	for key, text := range account.StringData {
		g.Expect(string(secret.(*corev1.Secret).Data[key])).To(Equal(text))
	}
}
