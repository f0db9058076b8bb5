// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package show

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestPrint(t *testing.T) {
	g := NewWithT(t)

	var text strings.Builder

	Print(&text, Report{
		Shoot:  "garden-dev/demo",
		Ranges: []Range{{"nodes", "v6global/64+prefix/96", "2001:db8:0:1::/64", "2001:db8:0:1::/64"}, {"pods", "v6fromNode", "-", "2001:db8:0:1::/64"}},
		Nodes:  []Node{{"n1", "2001:db8:0:1::11", "2001:db8:0:1:0:1::/96", "2001:db8:0:1:0:1:d000:0/100"}},
		Pods:   []Pod{{"demo/web", "n1", "2001:db8:0:1:0:1:d000:1"}},
		Journeys: []Journey{
			{From: "pod on n1", To: "host outside", How: "curl", Seen: "2001:db8:0:1:0:1:d000:1", Verdict: "its own: no NAT", OK: true},
			{From: "host outside", To: "pod on n1", How: "curl", Verdict: "timed out"},
		},
		Hints: []string{"The end: make demo-down"},
	})

	g.Expect(text.String()).To(Equal(`
Shoot garden-dev/demo

  range  asked for              reserved           published to Kubernetes
  ────────────────────────────────────────────────────────────────────────
  nodes  v6global/64+prefix/96  2001:db8:0:1::/64  2001:db8:0:1::/64
  pods   v6fromNode             -                  2001:db8:0:1::/64

  node  address           its prefix             its pods' range (podCIDR)
  ──────────────────────────────────────────────────────────────────────────
  n1    2001:db8:0:1::11  2001:db8:0:1:0:1::/96  2001:db8:0:1:0:1:d000:0/100

  pod       on  address
  ─────────────────────────────────────
  demo/web  n1  2001:db8:0:1:0:1:d000:1

  from          to            by    source address seen
  ──────────────────────────────────────────────────────────────────────────────────
  pod on n1     host outside  curl  2001:db8:0:1:0:1:d000:1  its own: no NAT  ok
  host outside  pod on n1     curl                                            FAILED

  host outside to pod on n1: timed out

The end: make demo-down

`))
}
