// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// TestDecide has a row for every way in which the texts of one range can stand to each other.
func TestDecide(t *testing.T) {
	const (
		nodes    = keyword.Nodes
		pods     = keyword.Pods
		services = keyword.Services
		inSpec   = "spec.networking."
		inConfig = "spec.networking.providerConfig.ranges."
	)
	for name, tc := range map[string]struct {
		name                     keyword.Name
		spec, config             string
		oldSpec, oldConfig, seed string
		published                []string
		asked, path, keep        string
		err                      string
	}{
		"nothing": {name: nodes},
		// Creation.
		"create: a word in the spec":             {name: nodes, spec: "v6global", asked: "v6global", path: inSpec + "nodes"},
		"create: a word in the config":           {name: pods, config: "v6global", asked: "v6global", path: inConfig + "pods"},
		"create: the same in both":               {name: pods, spec: " globalIPv6", config: "v6global", asked: "v6global", path: inConfig + "pods"},
		"create: a CIDR":                         {name: services, spec: "2001:db8::/64", asked: "2001:db8::/64", path: inSpec + "services"},
		"create: the CIDR that v4private is":     {name: nodes, spec: "10.250.0.0/16", config: "v4private", asked: "v4private", path: inConfig + "nodes"},
		"create: the CIDR of a +prefix":          {name: nodes, spec: "2001:db8::/64", config: "2001:db8::/64+prefix/96", asked: "2001:db8::/64+prefix/96", path: inConfig + "nodes"},
		"create: what is published of services":  {name: services, spec: "2001:db8::/112", config: "2001:db8::/64", asked: "2001:db8::/64", path: inConfig + "services"},
		"create: the Seed's default, not wanted": {name: pods, spec: "2001:db8::/56", config: "v6global", seed: "2001:db8::/56", asked: "v6global", path: inConfig + "pods"},
		"create: the Seed's default, welcome":    {name: pods, spec: "2001:db8::/56", seed: "2001:db8::/56", asked: "2001:db8::/56", path: inSpec + "pods"},
		"create: a contradiction": {name: nodes, spec: "v6global", config: "v6private",
			err: `spec.networking.nodes: Invalid value: "v6global": contradicts spec.networking.providerConfig.ranges.nodes, which is "v6private": give the range in one of the two fields, or the same in both`},
		"create: a CIDR beside a word": {name: nodes, spec: "2001:db8::/64", config: "v6global",
			err: `spec.networking.nodes: Invalid value: "2001:db8::/64": contradicts spec.networking.providerConfig.ranges.nodes, which is "v6global": give the range in one of the two fields, or the same in both`},
		"create: mistakes in both": {name: nodes, spec: "v6globl", config: "custm",
			err: `spec.networking.providerConfig.ranges.nodes: Invalid value: "custm": unknown word "custm"; did you mean "custom"?
    custm
    ^^^^^ spec.networking.nodes: Invalid value: "v6globl": unknown word "v6globl"; did you mean "v6global"?
    v6globl
    ^^^^^^^`},
		// The same again.
		"again: the word in the spec":              {name: nodes, spec: "v6global", config: "v6global", oldConfig: "v6global", asked: "v6global", path: inConfig + "nodes"},
		"again: without the config":                {name: nodes, spec: "v6global", oldConfig: "v6global", asked: "v6global", path: inSpec + "nodes"},
		"again: without both":                      {name: nodes, oldConfig: "v6global", asked: "v6global", path: inConfig + "nodes"},
		"again: pinned, the manifest has the word": {name: nodes, spec: "v6global", oldSpec: "2001:db8::/64", oldConfig: "v6global", asked: "v6global", path: inSpec + "nodes", keep: "2001:db8::/64"},
		"again: pinned, the live object":           {name: nodes, spec: "2001:db8::/64", config: "v6global", oldSpec: "2001:db8::/64", oldConfig: "v6global", asked: "v6global", path: inConfig + "nodes", keep: "2001:db8::/64"},
		"again: pinned, nothing in the manifest":   {name: nodes, oldSpec: "2001:db8::/64", oldConfig: "v6global", asked: "v6global", path: inConfig + "nodes", keep: "2001:db8::/64"},
		"again: pinned, config taken out":          {name: nodes, spec: "2001:db8::/64", oldSpec: "2001:db8::/64", oldConfig: "v6global", asked: "v6global", path: inConfig + "nodes", keep: "2001:db8::/64"},
		"again: an old Shoot without config":       {name: pods, spec: "2001:db8::/56", oldSpec: "2001:db8::/56", asked: "2001:db8::/56", path: inSpec + "pods", keep: "2001:db8::/56"},
		// gardenlet.
		"gardenlet pins":                         {name: nodes, spec: "2001:db8::/64", config: "v6global", oldConfig: "v6global", asked: "v6global", path: inConfig + "nodes", keep: "2001:db8::/64"},
		"gardenlet pins more than was asked for": {name: nodes, spec: "2001:db8::/56", config: "v6global", oldConfig: "v6global", asked: "v6global", path: inConfig + "nodes", keep: "2001:db8::/56"},
		"gardenlet pins what is published":       {name: nodes, spec: "2001:db8::/64", config: "v6global", oldConfig: "v6global", published: []string{"10.0.0.0/16", "2001:db8::/64"}, asked: "v6global", path: inConfig + "nodes", keep: "2001:db8::/64"},
		"nobody pins what is not published":      {name: nodes, spec: "2001:db8:1::/64", config: "v6global", oldConfig: "v6global", published: []string{"2001:db8::/64"}, asked: "2001:db8:1::/64", path: inSpec + "nodes"},
		"nobody pins less":                       {name: nodes, spec: "2001:db8::/72", config: "v6global", oldConfig: "v6global", asked: "2001:db8::/72", path: inSpec + "nodes"},
		"nobody pins pods":                       {name: pods, spec: "2001:db8::/64", config: "v6global", oldConfig: "v6global", asked: "2001:db8::/64", path: inSpec + "pods"},
		// The Seed's defaults come back at every update.
		"the default on an update":    {name: pods, spec: "2001:db8::/56", config: "v6global", oldConfig: "v6global", seed: "2001:db8::/56", asked: "v6global", path: inConfig + "pods"},
		"the default without config":  {name: pods, spec: "2001:db8::/56", oldConfig: "v6global", seed: "2001:db8::/56", asked: "v6global", path: inConfig + "pods"},
		"the default for what is new": {name: pods, spec: "2001:db8::/56", seed: "2001:db8::/56", oldConfig: "", asked: "2001:db8::/56", path: inSpec + "pods"},
		// Edits.
		"the word is edited in the spec":   {name: nodes, spec: "v6global/60", config: "v6global", oldConfig: "v6global", asked: "v6global/60", path: inSpec + "nodes"},
		"the word is edited in the config": {name: nodes, config: "v6global/60", oldConfig: "v6global", asked: "v6global/60", path: inConfig + "nodes"},
		"edited in the config, pinned":     {name: nodes, spec: "2001:db8::/64", config: "v6global/60", oldSpec: "2001:db8::/64", oldConfig: "v6global", asked: "v6global/60", path: inConfig + "nodes", keep: "2001:db8::/64"},
		"edited in one of both": {name: nodes, spec: "v6global", config: "v6global/60", oldConfig: "v6global",
			err: `spec.networking.nodes: Invalid value: "v6global": contradicts spec.networking.providerConfig.ranges.nodes, which is "v6global/60": give the range in one of the two fields, or the same in both`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			given := func(s string) *string {
				if s == "" {
					return nil
				}
				return &s
			}
			w, errs := decide(tc.name, texts{spec: given(tc.spec), config: given(tc.config), oldSpec: given(tc.oldSpec), oldConfig: given(tc.oldConfig), seedDefault: given(tc.seed), published: tc.published})
			text := ""
			for i, e := range errs {
				if i > 0 {
					text += " "
				}
				text += e.Error()
			}
			g.Expect(text).To(Equal(tc.err))
			if tc.err != "" {
				return
			}
			asked := ""
			if w.asked != nil {
				asked = w.asked.String()
			}
			g.Expect(asked).To(Equal(tc.asked))
			g.Expect(w.keep).To(Equal(tc.keep))
			if tc.path != "" {
				g.Expect(w.path.String()).To(Equal(tc.path))
			}
		})
	}
}
