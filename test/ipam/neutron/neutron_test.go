// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package neutron_test

import (
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

func TestStart(t *testing.T) {
	c, err := neutron.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Log())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	tn := c.NewTenant(t)
	t.Log(tn.ID)
}
