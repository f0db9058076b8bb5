// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import "github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"

// Packet is bare metal as Packet (later Equinix Metal) rented it: a public /56 for the project, a top-of-rack router that speaks BGP with
// every machine, nothing else. Pods and Services have public addresses.
func Packet() driver.Scenario {
	return withRouter(driver.Scenario{
		Name:       "packet",
		Title:      "bare metal, a public /56; nodes tell BIRD, the top-of-rack router, their pods and the Services",
		Networking: rackNetworking,
	}, bird{})
}

// rackNetworking is what the owner of a cluster in a rack writes.
const rackNetworking = `
type: ipv6
ipFamilies: [IPv6]
nodes: v6global/56+prefix/64
pods: v6fromNode
services: v6global/64
providerConfig:
  apiVersion: ipv6.networking.extensions.gardener.cloud/v1alpha1
  kind: NetworkConfig
  routing:
    mode: BGP
    bgp:
      asn: 64512
      peers:
      - defaultGateway: true
        asn: 65000
      advertise:
        serviceRange: true
  loadBalancer:
    pools:
    - name: public
      prefixes: ["2001:db8:5::/112"]
`
