// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const allBackends = `apiVersion: ipv6.networking.extensions.config.gardener.cloud/v1alpha1
kind: ControllerConfiguration
gardenID: garden
seedName: seed-a
pools:
- name: public
  prefixes: ["2001:db8::/36"]
backends:
- name: neutron
  type: openstack
  pools: [{name: p, id: 4b8d4d72-5d1c-4a4e-9b8f-3f4d0a3c2a11, minPrefixLength: 56, maxPrefixLength: 112}]
- name: vpc
  type: aws
  pools: [{name: p, id: ipam-pool-0123456789abcdef0, minPrefixLength: 56, maxPrefixLength: 60}]
- name: vpc-ours
  type: aws
  secretName: aws-ipam
  region: eu-west-1
  pools: [{name: p, id: ipam-pool-0123456789abcdef0, minPrefixLength: 56, maxPrefixLength: 60}]
- name: compute
  type: gcp
  pools: [{name: p, id: projects/p/regions/r/subnetworks/s, minPrefixLength: 96, maxPrefixLength: 96}]
- name: capi
  type: clusterapi
  namespace: ipam
  pools: [{name: p, id: GlobalInClusterPrefixPool/p, minPrefixLength: 64, maxPrefixLength: 64}]
- name: metal
  type: ironcore
  namespace: ipam
  secretName: ironcore
  pools: [{name: p, id: parent, minPrefixLength: 48, maxPrefixLength: 112}]
`

func load(t *testing.T, text string) *configOptions {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	NewWithT(t).Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
	return &configOptions{path: file}
}

func TestBackendsOfTheConfiguration(t *testing.T) {
	g := NewWithT(t)
	o := load(t, allBackends)
	g.Expect(o.Complete()).To(Succeed())
	c := fake.NewClientBuilder().Build()
	backends, err := backendsOf(o.loaded, seed{client: c, live: c, namespace: "extension"})
	g.Expect(err).NotTo(HaveOccurred())

	var got []string
	shoot := reservation.Tenant{Namespace: "shoot--a--b", Region: "eu-west-1", Credentials: secretReader(c, "shoot--a--b", "cloudprovider")}
	for _, b := range backends {
		whose := " of the operator"
		if b.PerShoot {
			whose = " of each shoot"
		}
		got = append(got, b.Backend+whose)
		reserver, err := b.Open(shoot)
		g.Expect(err).NotTo(HaveOccurred(), b.Backend)
		g.Expect(reserver.Name()).To(Equal(b.Backend), "what stands in the status finds the backend again")
	}
	g.Expect(got).To(Equal([]string{
		"pool of the operator", "neutron of each shoot", "vpc of each shoot", "vpc-ours of the operator", "compute of each shoot",
		"capi of the operator", "metal of the operator", "ula of the operator",
	}))
}

// Without its Secret a call fails with a sentence for a person, and with the Secret's data its contents are never quoted.
func TestRemoteKubeconfig(t *testing.T) {
	g := NewWithT(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "extension", Name: "ironcore"}}
	c := fake.NewClientBuilder().Build()
	r := newRemote(secretReader(c, "extension", "ironcore"), c.Scheme())
	list := func() error { return r.List(t.Context(), &corev1.ConfigMapList{}) }
	failsWith := func(text string) {
		t.Helper()
		err := list()
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Unauthorized))
		g.Expect(err).To(MatchError(And(ContainSubstring(text), Not(ContainSubstring("s3cret")))))
	}
	failsWith("there is no Secret extension/ironcore with the credentials: create it")

	g.Expect(c.Create(t.Context(), secret)).To(Succeed())
	for kubeconfig, want := range map[string]string{
		"":               `the Secret has no key "kubeconfig"`,
		"s3cret: [":      `the Secret's key "kubeconfig" holds no kubeconfig`,
		"users: []\n":    "is not complete",
		withUser("exec"): "a program to run (exec)",
		withUser("file"): "a path to credentials",
	} {
		secret.Data = map[string][]byte{"kubeconfig": []byte(kubeconfig)}
		g.Expect(c.Update(t.Context(), secret)).To(Succeed())
		failsWith(want)
	}
}

func withUser(how string) string {
	user := map[string]string{
		"exec": "exec: {apiVersion: client.authentication.k8s.io/v1, command: s3cret, interactiveMode: Never}",
		"file": "tokenFile: /s3cret",
	}[how]
	return `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://localhost:1"}}]
users: [{name: u, user: {` + user + `}}]
`
}

func secretReader(c client.Reader, namespace, name string) reservation.Credentials {
	return seed{live: c, namespace: namespace}.secret(name)
}

// A request to another API server waits neither for client-go's own limit nor for ever.
func TestRemoteIsBounded(t *testing.T) {
	g := NewWithT(t)
	config, err := restConfig([]byte(withUser("")))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.QPS).To(BeEquivalentTo(-1))
	g.Expect(config.Timeout).To(BeNumerically(">", 0))
}
