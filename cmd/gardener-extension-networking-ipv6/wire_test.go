// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"
)

func TestFindImages(t *testing.T) {
	g := NewWithT(t)
	built, err := findImages()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(built).To(MatchAllKeys(Keys{
		"ipv6-agent":           MatchRegexp(`^ghcr\.io/gardener/gardener-extension-networking-ipv6/ipv6-agent:v\d`),
		"ipv6-ipam-controller": MatchRegexp(`^ghcr\.io/gardener/gardener-extension-networking-ipv6/ipv6-ipam-controller:v\d`),
	}))

	file := filepath.Join(t.TempDir(), "overwrite.yaml")
	g.Expect(os.WriteFile(file, []byte("images:\n- name: ipv6-agent\n  repository: registry.example.org/agent\n  tag: v7\n"), 0o600)).To(Succeed())
	t.Setenv("IMAGEVECTOR_OVERWRITE", file)
	g.Expect(findImages()).To(Equal(map[string]string{
		"ipv6-agent": "registry.example.org/agent:v7", "ipv6-ipam-controller": built["ipv6-ipam-controller"],
	}))
}

func TestConfigurationIsRequiredAndChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	const head = "apiVersion: ipv6.networking.extensions.config.gardener.cloud/v1alpha1\nkind: ControllerConfiguration\n"
	for name, tc := range map[string]struct{ content, want string }{
		"unknown field": {head + "pool: []\n", `unknown field "pool"`},
		"invalid":       {head + "pools:\n- name: a\n  prefixes: [\"2001:db8::1/64\"]\n", "pools[0].prefixes[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(os.WriteFile(file, []byte(tc.content), 0o600)).To(Succeed())
			o := &configOptions{path: file}
			g.Expect(o.Complete()).To(MatchError(ContainSubstring(tc.want)))
		})
	}
	g := NewWithT(t)
	g.Expect((&configOptions{}).Complete()).To(MatchError(ContainSubstring("--config is required")))
	g.Expect((&configOptions{path: filepath.Join(t.TempDir(), "none")}).Complete()).To(MatchError(os.ErrNotExist))
}
