// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	. "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/validation"
)

func pools(pools ...v1alpha1.Pool) v1alpha1.ControllerConfiguration {
	return v1alpha1.ControllerConfiguration{Pools: pools}
}

func pool(name string, prefixes ...string) v1alpha1.Pool {
	return v1alpha1.Pool{Name: name, Prefixes: prefixes}
}

func bounded(least, greatest *int32, prefixes ...string) v1alpha1.ControllerConfiguration {
	return pools(v1alpha1.Pool{Name: "a", Prefixes: prefixes, MinPrefixLength: least, MaxPrefixLength: greatest})
}

func TestValidateControllerConfiguration(t *testing.T) {
	for name, test := range map[string]struct {
		config v1alpha1.ControllerConfiguration
		want   []string
	}{
		"nothing": {v1alpha1.ControllerConfiguration{}, nil},
		"two pools side by side": {
			pools(pool("a", "2001:db8:1000::/36", "2001:db8:3000::/36"), pool("b", "2001:db8:2000::/36")), nil,
		},
		"no quarantine": {v1alpha1.ControllerConfiguration{Quarantine: &metav1.Duration{}}, nil},
		"bounds":        {bounded(ptr.To[int32](48), ptr.To[int32](112), "2001:db8::/36"), nil},
		"the whole pool is one reservation": {
			bounded(nil, ptr.To[int32](36), "2001:db8::/36"), nil,
		},

		"no name":        {pools(pool("", "2001:db8::/36")), []string{`pools[0].name: Required value`}},
		"odd name":       {pools(pool("My Pool", "2001:db8::/36")), []string{`pools[0].name: Invalid value: "My Pool": a lowercase RFC 1123 label`}},
		"same name":      {pools(pool("a", "2001:db8::/36"), pool("a", "2001:db9::/36")), []string{`pools[1].name: Duplicate value: "a"`}},
		"no prefixes":    {pools(pool("a")), []string{`pools[0].prefixes: Required value: a pool needs at least one IPv6 prefix`}},
		"no prefix":      {pools(pool("a", "v6global")), []string{`pools[0].prefixes[0]: Invalid value: "v6global": must be an IPv6 prefix, for example`}},
		"IPv4":           {pools(pool("a", "10.0.0.0/8")), []string{`must be an IPv6 prefix: IPv4 ranges are not taken from pools`}},
		"IPv4 in IPv6":   {pools(pool("a", "::ffff:10.0.0.0/104")), []string{`must be an IPv6 prefix: IPv4 ranges are not taken from pools`}},
		"host bits":      {pools(pool("a", "2001:db8::1/36")), []string{`must be written in its canonical form, 2001:db8::/36`}},
		"odd spelling":   {pools(pool("a", "2001:0db8::/36")), []string{`must be written in its canonical form, 2001:db8::/36`}},
		"link-local":     {pools(pool("a", "fe80::/16")), []string{`must not hold link-local addresses`}},
		"unique local":   {pools(pool("a", "fd12:3456::/32")), []string{`pools[0].prefixes[0]: Invalid value: "fd12:3456::/32": must not hold unique local addresses (RFC 4193)`}},
		"all of ULA":     {pools(pool("a", "fc00::/7")), []string{`must not hold unique local addresses (RFC 4193)`}},
		"bound too low":  {bounded(ptr.To[int32](7), nil, "2001:db8::/36"), []string{`pools[0].minPrefixLength: Invalid value: 7: must be from 8 to 120`}},
		"bound too high": {bounded(nil, ptr.To[int32](121), "2001:db8::/36"), []string{`pools[0].maxPrefixLength: Invalid value: 121: must be from 8 to 120`}},
		"bounds crossed": {bounded(ptr.To[int32](64), ptr.To[int32](48), "2001:db8::/36"), []string{`pools[0].maxPrefixLength: Invalid value: 48: must be at least minPrefixLength, which is 64`}},
		"nothing can be taken": {
			bounded(nil, ptr.To[int32](32), "2001:db8::/36", "2001:db9::/40"),
			[]string{`pools[0].maxPrefixLength: Invalid value: 32: must be at least 36, the length of the pool's largest prefix`},
		},
		"overlap within a pool": {
			pools(pool("a", "2001:db8::/36", "2001:db8:100::/40")),
			[]string{`pools[0].prefixes[1]: Invalid value: "2001:db8:100::/40": overlaps 2001:db8::/36 of pools[0].prefixes[0]`},
		},
		"overlap across pools, the greater one second": {
			pools(pool("a", "2001:db8:100::/40"), pool("b", "2001:db8::/36")),
			[]string{`pools[1].prefixes[0]: Invalid value: "2001:db8::/36": overlaps 2001:db8:100::/40 of pools[0].prefixes[0]`},
		},
		"quarantine":    {v1alpha1.ControllerConfiguration{Quarantine: &metav1.Duration{Duration: -time.Second}}, []string{`quarantine: Invalid value: "-1s": must not be negative`}},
		"feature gates": {v1alpha1.ControllerConfiguration{FeatureGates: map[string]bool{"B": true, "A": false}}, []string{`featureGates[A]`, `featureGates[B]`}},
		"client": {
			v1alpha1.ControllerConfiguration{ClientConnection: &componentbaseconfigv1alpha1.ClientConnectionConfiguration{QPS: -1, Burst: -1}},
			[]string{`clientConnection.qps: Invalid value: -1: must not be negative`, `clientConnection.burst: Invalid value: -1: must not be negative`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			errs := ValidateControllerConfiguration(&test.config)
			g.Expect(errs).To(HaveLen(len(test.want)))
			for i, want := range test.want {
				g.Expect(errs[i].Error()).To(ContainSubstring(want))
			}
		})
	}
}
