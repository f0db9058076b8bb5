// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package scenarios holds the ways to run a cluster that this extension is for, each as a Shoot on the local landscape with what must
// hold there: `make demo SCENARIO=NAME` shows one, `make test-scenarios` checks all. docs/scenarios.md describes them.
package scenarios

import "github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"

// All scenarios beside the demo's, in the order in which they are tested.
func All() []driver.Scenario {
	return []driver.Scenario{Packet(), FRR(), Gardener(), GardenerAWS(), Calico(), Talos()}
}
