// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipam_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

func config(rs ...nodeprefix.Range) nodeprefix.Config { return nodeprefix.Config{Ranges: rs} }

func TestAssignsToManyNodesAtOnce(t *testing.T) {
	c := start(t)
	p := c.run(config(v6(96, 100)))
	c.createMany("node", 200).Wait()
	prefixes := c.allAssigned(200)
	for name := range prefixes {
		n := c.node(name)
		c.Expect(n.Spec.PodCIDR).To(Equal(n.Spec.PodCIDRs[0]))
		c.Expect(n.Spec.PodCIDRs[0]).To(MatchRegexp(`^2001:db8:1:2:0:[0-9a-f]+:d000:0/100$`))
		c.Expect(c.conditionOf(name)()).To(BeEmpty(), "a node without trouble has no condition")
	}
	p.stop(c)
}
