// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"testing"
)

func TestAgentAnnouncesTheNodesPrefix(t *testing.T) {
	l := newAgentLab(t, helper, "", bgpConfig())
	l.agent.start()
	l.has("2001:db8:2::/80")
}
