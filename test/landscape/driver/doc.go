// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package driver plays gardenlet and an infrastructure provider on the landscape, and nothing more.
//
// It takes a Shoot from the real gardener-apiserver and does, in gardenlet's order and with Gardener's own components,
// what has to be done until the Shoot's cluster runs: namespace, secrets, Cluster, Infrastructure, control plane,
// gardener-resource-manager, Network, nodes, kube-proxy, CoreDNS. What it never does is anything that is this
// extension's: it reserves no prefix, writes no podCIDR, adds no CNI configuration, and takes every address it uses
// from the API objects. README.md says exactly what is stood in for.
package driver
