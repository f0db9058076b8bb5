// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package helper_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
)

const header = "apiVersion: ipv6.networking.extensions.config.gardener.cloud/v1alpha1\nkind: ControllerConfiguration\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadFillsInDefaults(t *testing.T) {
	g := NewWithT(t)

	config, err := helper.Load(write(t, header+"pools:\n- name: a\n  prefixes: ['2001:db8::/36']\n- name: b\n  prefixes: ['2001:db9::/36']\n  maxPrefixLength: 64\n"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Kind).To(Equal("ControllerConfiguration"))
	g.Expect(config.Quarantine.Duration).To(Equal(time.Hour))
	g.Expect(config.ClientConnection.QPS).To(BeEquivalentTo(100))
	g.Expect(config.ClientConnection.Burst).To(BeEquivalentTo(130))
	g.Expect(config.Pools).To(Equal([]v1alpha1.Pool{
		{Name: "a", Prefixes: []string{"2001:db8::/36"}, MaxPrefixLength: ptr.To[int32](120)},
		{Name: "b", Prefixes: []string{"2001:db9::/36"}, MaxPrefixLength: ptr.To[int32](64)},
	}))
}

func TestLoadKeepsWhatIsSet(t *testing.T) {
	g := NewWithT(t)

	config, err := helper.Load(write(t, header+"gardenID: landscape\nquarantine: 0s\nclientConnection: {qps: 5, burst: 7}\n"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.GardenID).To(Equal("landscape"))
	g.Expect(config.Quarantine.Duration).To(BeZero())
	g.Expect(config.ClientConnection.QPS).To(BeEquivalentTo(5))
	g.Expect(config.ClientConnection.Burst).To(BeEquivalentTo(7))
}

func TestLoadRejects(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown field": {header + "pool: []\n", `unknown field "pool"`},
		"doubled field": {header + "gardenID: a\ngardenID: b\n", `key "gardenID" already set`},
		"another kind":  {"apiVersion: v1\nkind: ConfigMap\n", `no kind "ConfigMap" is registered`},
		"no kind":       {"pools: []\n", `Object 'Kind' is missing`},
		"every mistake": {header + "quarantine: -1s\npools: [{name: a, prefixes: [x]}]\n", `[pools[0].prefixes[0]: Invalid value: "x": must be an IPv6 prefix, for example 2001:db8:1000::/36, quarantine: Invalid value: "-1s": must not be negative`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			path := write(t, test.text)
			_, err := helper.Load(path)
			g.Expect(err).To(MatchError(And(ContainSubstring(test.want), ContainSubstring(path))))
		})
	}

	g := NewWithT(t)
	_, err := helper.Load(filepath.Join(t.TempDir(), "absent.yaml"))
	g.Expect(err).To(MatchError(os.ErrNotExist))
}
