// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/dataplanetest"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fake"
)

func TestConformance(t *testing.T) {
	dataplanetest.Run(t, func(t *testing.T) dataplanetest.Machine {
		k := fake.New()
		return dataplanetest.Machine{
			Wirer: k, Host: k,
			Netns: func(t *testing.T) *os.File {
				f, err := os.Open(os.DevNull)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = f.Close() })
				return f
			},
			AddRoute: func(_ *testing.T, r dataplane.Route) { k.AddRoute(r) },
			Routes: func(*testing.T) []string {
				var out []string
				for line := range strings.Lines(k.Dump()) {
					if r, ok := strings.CutPrefix(strings.TrimSpace(line), "route "); ok {
						out = append(out, r)
					}
				}
				return out
			},
		}
	})
}
