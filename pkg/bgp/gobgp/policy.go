// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"

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
func policiesOf(own uint32, peers []bgp.Peer) *api.SetPoliciesRequest {
	request := &api.SetPoliciesRequest{}
	in := &api.Policy{Name: importPolicy, Statements: []*api.Statement{accept("local", fromHere())}}
	if all := hosts(peers, bgp.ImportAll); len(all) > 0 {
		request.DefinedSets = append(request.DefinedSets, neighbors(allPeers, all...))
		in.Statements = append(in.Statements, accept(allPeers, &api.Conditions{NeighborSet: anyOf(allPeers)}))
	}
	if defaults := hosts(peers, bgp.ImportDefault); len(defaults) > 0 {
		request.DefinedSets = append(request.DefinedSets, neighbors(defaultPeers, defaults...),
			&api.DefinedSet{DefinedType: api.DefinedType_PREFIX, Name: defaultOnly, Prefixes: []*api.Prefix{{IpPrefix: "::/0"}}},
			&api.DefinedSet{DefinedType: api.DefinedType_PREFIX, Name: defaultOnly4, Prefixes: []*api.Prefix{{IpPrefix: "0.0.0.0/0"}}})
		in.Statements = append(in.Statements,
			accept(defaultOnly, &api.Conditions{NeighborSet: anyOf(defaultPeers), PrefixSet: anyOf(defaultOnly)}),
			accept(defaultOnly4, &api.Conditions{NeighborSet: anyOf(defaultPeers), PrefixSet: anyOf(defaultOnly4)}))
	}
	out := &api.Policy{Name: exportPolicy}
	for _, p := range peers {
		actions := actionsOf(own, p)
		if actions == nil {
			continue
		}
		name := "to-" + p.Address.String()
		request.DefinedSets = append(request.DefinedSets, neighbors(name, hostOf(p)))
		statement := accept(name, fromHere())
		statement.Conditions.NeighborSet = anyOf(name)
		statement.Actions = actions
		out.Statements = append(out.Statements, statement)
	}
	out.Statements = append(out.Statements, accept("own", fromHere()))
	request.Policies = []*api.Policy{in, out}
	return request
}

// actionsOf a peer on what it is told; nil if nothing is changed.
func actionsOf(own uint32, p bgp.Peer) *api.Actions {
	actions := &api.Actions{RouteAction: api.RouteAction_ACCEPT}
	if len(p.Communities) > 0 {
		actions.Community = &api.CommunityAction{Type: api.CommunityAction_ADD}
		for _, c := range p.Communities {
			number := uint32(c)
			actions.Community.Communities = append(actions.Community.Communities, fmt.Sprintf("%d:%d", number>>16, number&0xFFFF))
		}
	}
	if p.LocalPreference > 0 && p.ASN == own {
		actions.LocalPref = &api.LocalPrefAction{Value: p.LocalPreference}
	}
	if actions.Community == nil && actions.LocalPref == nil {
		return nil
	}
	return actions
}

// ambiguous finds two peers of different links that have one address. GoBGP's policies do not know the link, so that both must be
// treated alike.
func ambiguous(own uint32, peers []bgp.Peer) error {
	seen := map[string]bgp.Peer{}
	for _, p := range peers {
		q, ok := seen[hostOf(p)]
		if ok && (p.Import != q.Import || !proto.Equal(actionsOf(own, p), actionsOf(own, q))) {
			return fmt.Errorf("peers %s and %s differ only by their link: import, communities and local preference must be the same", q.Address, p.Address)
		}
		seen[hostOf(p)] = p
	}
	return nil
}

func hostOf(p bgp.Peer) string {
	return netip.PrefixFrom(p.Address.WithZone(""), p.Address.BitLen()).String()
}

func hosts(peers []bgp.Peer, what bgp.Import) []string {
	var found []string
	for _, p := range peers {
		if p.Import == what {
			found = append(found, hostOf(p))
		}
	}
	return found
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

func neighbors(name string, hosts ...string) *api.DefinedSet {
	return &api.DefinedSet{DefinedType: api.DefinedType_NEIGHBOR, Name: name, List: hosts}
}

func anyOf(set string) *api.MatchSet { return &api.MatchSet{Type: api.MatchSet_ANY, Name: set} }

func fromHere() *api.Conditions { return &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL} }

func accept(name string, conditions *api.Conditions) *api.Statement {
	return &api.Statement{Name: name, Conditions: conditions, Actions: &api.Actions{RouteAction: api.RouteAction_ACCEPT}}
}
