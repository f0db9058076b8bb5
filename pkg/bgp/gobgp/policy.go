// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

const (
	globalTable  = "global"
	importPolicy = "import"
	exportPolicy = "export"
	allPeers     = "import-all"
	defaultPeers = "import-default"
	defaultOnly  = "default-route"
	defaultOnly4 = "default-route-ipv4"
)

// policiesOf the peers: what a peer tells is accepted as far as its Import goes; what leaves is only what this node itself announces,
// never what another peer has told: a node is no transit.
func policiesOf(peers []bgp.Peer) *api.SetPoliciesRequest {
	local := statement("local", &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL})
	statements := []*api.Statement{local}
	request := &api.SetPoliciesRequest{}

	var all, defaults []string
	for _, p := range peers {
		host := netip.PrefixFrom(p.Address.WithZone(""), p.Address.BitLen()).String()
		switch p.Import {
		case bgp.ImportAll:
			all = append(all, host)
		case bgp.ImportDefault:
			defaults = append(defaults, host)
		case bgp.ImportNone:
		}
	}
	if len(all) > 0 {
		request.DefinedSets = append(request.DefinedSets, &api.DefinedSet{DefinedType: api.DefinedType_NEIGHBOR, Name: allPeers, List: all})
		statements = append(statements, statement(allPeers, &api.Conditions{NeighborSet: any1(allPeers)}))
	}
	if len(defaults) > 0 {
		request.DefinedSets = append(request.DefinedSets,
			&api.DefinedSet{DefinedType: api.DefinedType_NEIGHBOR, Name: defaultPeers, List: defaults},
			&api.DefinedSet{DefinedType: api.DefinedType_PREFIX, Name: defaultOnly, Prefixes: []*api.Prefix{{IpPrefix: "::/0"}}},
			&api.DefinedSet{DefinedType: api.DefinedType_PREFIX, Name: defaultOnly4, Prefixes: []*api.Prefix{{IpPrefix: "0.0.0.0/0"}}})
		statements = append(statements,
			statement(defaultOnly, &api.Conditions{NeighborSet: any1(defaultPeers), PrefixSet: any1(defaultOnly)}),
			statement(defaultOnly4, &api.Conditions{NeighborSet: any1(defaultPeers), PrefixSet: any1(defaultOnly4)}))
	}
	in := &api.Policy{Name: importPolicy, Statements: statements}
	out := &api.Policy{Name: exportPolicy, Statements: []*api.Statement{statement("own", &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL})}}
	request.Policies = []*api.Policy{in, out}
	return request
}

// assignments put the policies into force. GoBGP keeps them, by name, when the policies are set anew.
func assignments() []*api.PolicyAssignment {
	return []*api.PolicyAssignment{
		{
			Name: globalTable, Direction: api.PolicyDirection_IMPORT, DefaultAction: api.RouteAction_REJECT,
			Policies: []*api.Policy{{Name: importPolicy}},
		},
		{
			Name: globalTable, Direction: api.PolicyDirection_EXPORT, DefaultAction: api.RouteAction_REJECT,
			Policies: []*api.Policy{{Name: exportPolicy}},
		},
	}
}

func any1(set string) *api.MatchSet { return &api.MatchSet{Type: api.MatchSet_ANY, Name: set} }

func statement(name string, conditions *api.Conditions) *api.Statement {
	return &api.Statement{Name: name, Conditions: conditions, Actions: &api.Actions{RouteAction: api.RouteAction_ACCEPT}}
}
