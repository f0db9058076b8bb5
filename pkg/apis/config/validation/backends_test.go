// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	. "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/validation"
)

const header = `apiVersion: ipv6.networking.extensions.config.gardener.cloud/v1alpha1
kind: ControllerConfiguration
`

const home = header + `gardenID: garden
seedName: seed
`

// Fields of a valid backend of each type; each is a line of its own, so that a test can replace one.
const (
	openStack = `
- name: neutron
  type: openstack
  pools:
  - name: a
    id: 6f2f3d2c-4b0f-4b57-9d3c-6a4f6a0d8a11
    minPrefixLength: 48
    maxPrefixLength: 112
`
	aws = `
- name: vpc
  type: aws
  pools:
  - name: a
    id: ipam-pool-0123456789abcdef0
    minPrefixLength: 52
    maxPrefixLength: 60
`
	gcp = `
- name: compute
  type: gcp
  pools:
  - name: a
    id: projects/my-project/regions/europe-west1/subnetworks/my-subnetwork
    minPrefixLength: 96
    maxPrefixLength: 96
`
	clusterAPI = `
- name: metal
  type: clusterapi
  namespace: ipam
  pools:
  - name: a
    id: GlobalInClusterPrefixPool/a
    minPrefixLength: 64
    maxPrefixLength: 64
`
	ironCore = `
- name: iron
  type: ironcore
  namespace: ipam
  pools:
  - name: a
    id: parent
    minPrefixLength: 56
    maxPrefixLength: 80
`
)

// with replaces the line of a field.
func with(yaml, line string) string {
	name, _, _ := strings.Cut(line, ":")
	return regexp.MustCompile(`(?m)^([ -]*)`+name+`:.*$`).ReplaceAllString(yaml, "${1}"+line)
}

// backendName replaces the name of the backend.
func backendName(yaml, name string) string {
	return regexp.MustCompile(`(?m)^- name:.*$`).ReplaceAllString(yaml, "- name: "+name)
}

// backend adds a field of the backend itself.
func backend(yaml, line string) string {
	return strings.Replace(yaml, "  pools:", "  "+line+"\n  pools:", 1)
}

// inPool adds a field of its only pool.
func inPool(yaml, line string) string { return yaml + "    " + line + "\n" }

func TestValidateBackends(t *testing.T) {
	for name, test := range map[string]struct {
		backends string
		want     []string
	}{
		"one of each type": {openStack + aws + gcp + clusterAPI + ironCore, nil},
		"a pool by name":   {with(openStack, "id: public pool"), nil},
		"the operator's account": {
			backend(backend(openStack, "secretName: neutron"), "region: eu-de-1") + backend(backend(aws, "secretName: ipam"), "region: eu-central-1") + backend(gcp, "secretName: gcp"), nil,
		},
		"for all providers, with the operator's account": {backend(gcp, "secretName: gcp\n  providerTypes: [gcp, metal]"), nil},
		"an endpoint":                          {backend(openStack, "endpoint: https://network.example.org:9696/v2.0"), nil},
		"on loopback":                          {backend(openStack, "endpoint: http://127.0.0.1:9696"), nil},
		"on loopback, v6":                      {backend(aws, "endpoint: http://[::1]:80"), nil},
		"a namespaced pool":                    {with(clusterAPI, "id: InClusterPrefixPool/my.pool"), nil},
		"another region than the subnetwork's": {inPool(gcp, "regions: [europe-west1, europe-west3]"), nil},
		"narrower pool":                        {inPool(backend(openStack, "regions: [eu-1, eu-2]"), "regions: [eu-2]"), nil},

		"no name":       {backendName(openStack, ""), []string{`backends[0].name: Required value: a backend is known by its name for ever`}},
		"same name":     {openStack + backendName(aws, "neutron"), []string{`backends[1].name: Duplicate value: "neutron"`}},
		"odd name":      {backendName(openStack, "Neutron"), []string{`backends[0].name: Invalid value: "Neutron": a lowercase RFC 1123 label`}},
		"name pool":     {backendName(openStack, "pool"), []string{`backends[0].name: Invalid value: "pool": is taken: pool are the operator's own pools, ula is for private ranges, adopted is`}},
		"name ula":      {backendName(openStack, "ula"), []string{`backends[0].name: Invalid value: "ula": is taken`}},
		"name adopted":  {backendName(openStack, "adopted"), []string{`backends[0].name: Invalid value: "adopted": is taken`}},
		"unknown type":  {with(openStack, "type: azure"), []string{`backends[0].type: Unsupported value: "azure": supported values: "openstack", "aws", "gcp", "clusterapi", "ironcore"`}},
		"no pools":      {"\n- name: neutron\n  type: openstack\n  pools: []\n", []string{`backends[0].pools: Required value: a backend needs at least one pool`}},
		"no pool name":  {strings.Replace(openStack, "name: a", "name:", 1), []string{`backends[0].pools[0].name: Required value`}},
		"no pool ID":    {with(aws, "id:"), []string{`backends[0].pools[0].id: Required value: must tell the pool in the service: the ID of an IPAM pool, for example ipam-pool-`}},
		"blank name":    {with(openStack, "id: ' x'"), []string{`backends[0].pools[0].id: Invalid value: " x": must be the UUID or the name of a subnet pool`}},
		"aws ID":        {with(aws, "id: pool-1"), []string{`backends[0].pools[0].id: Invalid value: "pool-1": must be the ID of an IPAM pool, for example ipam-pool-0123456789abcdef0`}},
		"gcp ID":        {with(gcp, "id: my-subnetwork"), []string{`must be a subnetwork, for example projects/my-project/regions/europe-west1/subnetworks/my-subnetwork`}},
		"clusterapi ID": {with(clusterAPI, "id: InClusterIPPool/a"), []string{`backends[0].pools[0].id: Invalid value: "InClusterIPPool/a": must be the kind and the name of a pool, for example InClusterPrefixPool/my-pool or`}},
		"no pool's name behind the kind": {
			with(clusterAPI, "id: InClusterPrefixPool"), []string{`backends[0].pools[0].id: Invalid value: "InClusterPrefixPool": must be the kind and the name of a pool`},
		},
		"ironcore ID": {with(ironCore, "id: My/Parent"), []string{`backends[0].pools[0].id: Invalid value: "My/Parent": must be the name of the parent Prefix`}},

		"no lengths": {
			with(with(openStack, "minPrefixLength: 0"), "maxPrefixLength: 0"),
			[]string{`backends[0].pools[0].minPrefixLength: Required value: the service does not tell`, `backends[0].pools[0].maxPrefixLength: Required value`},
		},
		"too short":            {with(openStack, "minPrefixLength: 7"), []string{`backends[0].pools[0].minPrefixLength: Invalid value: 7: must be from 8 to 120`}},
		"too long":             {with(openStack, "maxPrefixLength: 121"), []string{`backends[0].pools[0].maxPrefixLength: Invalid value: 121: must be from 8 to 120`}},
		"crossed":              {with(openStack, "maxPrefixLength: 47"), []string{`backends[0].pools[0].maxPrefixLength: Invalid value: 47: must be at least minPrefixLength, which is 48`}},
		"gcp has one length":   {with(gcp, "minPrefixLength: 64"), []string{`backends[0].pools[0].minPrefixLength: Invalid value: 64: must be 96: Compute Engine reserves nothing else in a subnetwork`}},
		"a pool of one length": {with(clusterAPI, "maxPrefixLength: 80"), []string{`backends[0].pools[0].maxPrefixLength: Invalid value: 80: must be 64 like minPrefixLength: all prefixes of such a pool have one length`}},

		"one pool twice": {
			openStack + "  - name: b\n    id: 6f2f3d2c-4b0f-4b57-9d3c-6a4f6a0d8a11\n    minPrefixLength: 112\n    maxPrefixLength: 120\n",
			[]string{`backends[0].pools[1].id: Invalid value: "6f2f3d2c-4b0f-4b57-9d3c-6a4f6a0d8a11": is the pool of backends[0].pools[0].id already`},
		},
		"one pool in two backends":       {aws + backendName(aws, "other"), []string{`backends[1].pools[0].id: Invalid value: "ipam-pool-0123456789abcdef0": is the pool of backends[0].pools[0].id already`}},
		"the same name in another place": {with(openStack, "id: public") + backend(backendName(with(openStack, "id: public"), "other"), "region: elsewhere"), nil},

		"others' credentials": {
			backend(openStack, "providerTypes: [openstack, metal]"),
			[]string{`backends[0].providerTypes[1]: Invalid value: "metal": its shoots have no credentials for openstack; give the operator's in secretName, or leave it out`},
		},
		"a Secret's name":       {backend(backend(aws, "secretName: My_Secret"), "region: r"), []string{`backends[0].secretName: Invalid value: "My_Secret": must be the name of a Secret in the extension's namespace: a lowercase RFC 1123 subdomain`}},
		"a Secret, no region":   {backend(aws, "secretName: ipam"), []string{`backends[0].region: Required value: with secretName the account is the operator's, and no shoot tells its region`}},
		"an empty region":       {backend(aws, "region: ''"), []string{`backends[0].region: Invalid value: "": must be the name of a region; leave it out for that of the shoot`}},
		"a region for gcp":      {backend(gcp, "region: europe-west1"), []string{`backends[0].region: Forbidden: the id of a pool of type gcp tells its region`}},
		"a region for ironcore": {backend(ironCore, "region: a"), []string{`backends[0].region: Forbidden: type ironcore has none: it is reached by a kubeconfig`}},

		"a subnetwork that nobody asks":  {backend(gcp, "regions: [us-east1]"), []string{`backends[0].pools[0].regions[0]: Invalid value: "europe-west1": is not among the backend's regions (us-east1), so the pool would never be asked for it`}},
		"pods of a backend for services": {inPool(backend(openStack, "ranges: [services]"), "ranges: [pods]"), []string{`backends[0].pools[0].ranges[0]: Invalid value: "pods": is not among the backend's ranges (services)`}},

		"endpoint, no URL":       {backend(aws, "endpoint: ec2"), []string{`backends[0].endpoint: Invalid value: "ec2": must be a URL, for example https://`}},
		"endpoint in clear text": {backend(aws, "endpoint: http://ec2.example.org"), []string{`backends[0].endpoint: Invalid value: "http://ec2.example.org": must begin with https://: credentials are sent there (http:// is for loopback addresses only)`}},
		"endpoint with a secret": {backend(aws, "endpoint: https://me:secret@ec2.example.org"), []string{`backends[0].endpoint: Invalid value: must hold no user or password; credentials belong into the Secret`}},
		"endpoint with a query":  {backend(aws, "endpoint: https://ec2.example.org?a=b"), []string{`backends[0].endpoint: Invalid value: "https://ec2.example.org?a=b": must hold no query`}},
		"endpoint of clusterapi": {backend(clusterAPI, "endpoint: https://kube.example.org"), []string{`backends[0].endpoint: Forbidden: type clusterapi has none`}},

		"no namespace":         {strings.Replace(clusterAPI, "  namespace: ipam\n", "", 1), []string{`backends[0].namespace: Required value: type clusterapi reserves by objects, which need a namespace`}},
		"odd namespace":        {with(ironCore, "namespace: My.Space"), []string{`backends[0].namespace: Invalid value: "My.Space": a lowercase RFC 1123 label`}},
		"namespace of a cloud": {backend(aws, "namespace: ipam"), []string{`backends[0].namespace: Forbidden: type aws keeps no Kubernetes objects`}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			expect(g, home+"backends:"+test.backends, test.want)
		})
	}
}

func TestValidateSelectors(t *testing.T) {
	for name, test := range map[string]struct {
		selector string
		want     []string
	}{
		"all of it":     {`providerTypes: [openstack], regions: [eu-1, "RegionOne"], seeds: [a, b.c], ranges: [nodes, pods, services]`, nil},
		"unknown range": {`ranges: [node]`, []string{`pools[0].ranges[0]: Invalid value: "node": must be nodes, pods or services`}},
		"twice":         {`regions: [a, b, a]`, []string{`pools[0].regions[2]: Duplicate value: "a"`}},
		"empty":         {`seeds: [""]`, []string{`pools[0].seeds[0]: Required value: leave the list out where nothing is to be restricted`}},
		"odd provider":  {`providerTypes: [Open Stack]`, []string{`pools[0].providerTypes[0]: Invalid value: "Open Stack": a lowercase RFC 1123 label`}},
		"odd seed":      {`seeds: [A]`, []string{`pools[0].seeds[0]: Invalid value: "A": a lowercase RFC 1123 subdomain`}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(NewWithT(t), home+"pools: [{name: a, prefixes: ['2001:db8::/32'], "+test.selector+"}]", test.want)
		})
	}
}

// What is in an IPAM service bears the marks of garden and seed: without them one seed would free what another holds.
func TestValidateHome(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"neither, with a backend": {header + "backends:" + aws, []string{
			`gardenID: Required value: what is reserved in a backend is marked with it`,
			`seedName: Required value: what is reserved in a backend is marked with it, so that no other seed takes it for garbage; gardenlet passes it to the chart as gardener.seed.name`,
		}},
		"neither, with pools":  {header + "pools: [{name: a, prefixes: ['2001:db8::/32']}]", nil},
		"a pool of some seeds": {header + "pools: [{name: a, prefixes: ['2001:db8::/32'], seeds: [x]}]", []string{`seedName: Required value: a pool is restricted to seeds`}},
		"odd name":             {header + "seedName: My Seed\n", []string{`seedName: Invalid value: "My Seed": a lowercase RFC 1123 subdomain`}},
	} {
		t.Run(name, func(t *testing.T) { expect(NewWithT(t), test.text, test.want) })
	}
}

// expect the mistakes of a configuration, in order.
func expect(g *WithT, text string, want []string) {
	config, err := helper.Decode([]byte(text))
	g.Expect(err).NotTo(HaveOccurred(), text)
	errs := ValidateControllerConfiguration(config)
	g.Expect(errs).To(HaveLen(len(want)), "%v\n%s", errs.ToAggregate(), text)
	for i := range want {
		g.Expect(errs[i].Error()).To(ContainSubstring(want[i]))
	}
}
