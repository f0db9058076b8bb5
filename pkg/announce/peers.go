// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"net/netip"
	"slices"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// port of BGP.
const port = 179

// peers that this node has, in the order of their addresses.
func (d *decision) peers() {
	for _, p := range d.in.Config.Peers {
		if selects(p.NodeSelector, d.in.Node.Labels) {
			d.peer(p)
		}
	}
	if d.in.Config.NodeMesh {
		for _, n := range d.in.Others {
			d.mesh(n)
		}
	}
	slices.SortFunc(d.desired.Peers, func(a, b bgp.Peer) int { return a.Address.Compare(b.Address) })
	d.listen()
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// peer of the configuration: none, one, or all default gateways of its families.
func (d *decision) peer(p Peer) {
	name := "peer " + p.Address.String()
	if p.DefaultGateway {
		name = "peer defaultGateway"
	}
	password, ok := d.in.Passwords[p.PasswordSecret]
	if p.PasswordSecret != "" && (!ok || password == "") {
		// Without its password there is no session: an unprotected one is not what was asked for.
		d.problem(PasswordMissing, name, "has its password in the Secret %s, which is missing or has no key \"password\": there is no session", p.PasswordSecret)
		return
	}
	if len(password) > bgp.MaxPassword {
		d.problem(PasswordTooLong, name, "has a password of %d bytes in the Secret %s: TCP MD5 takes at most %d; there is no session", len(password),
			p.PasswordSecret, bgp.MaxPassword)
		return
	}
	session := bgp.Peer{
		Address: p.Address, ASN: p.ASN, Port: p.Port, MultihopTTL: p.MultihopTTL, Password: password, HoldTime: p.HoldTime,
		ConnectRetry: p.ConnectRetry, Import: p.Import, ImportLimit: p.ImportLimit, Passive: p.Passive,
		Communities: slices.Compact(slices.Sorted(slices.Values(p.Communities))), LocalPreference: p.LocalPreference,
	}
	switch {
	case p.DefaultGateway:
		d.gateways(session, p.Families)
	case !p.Address.IsValid():
		d.problem(PeerWithoutAddress, "a peer", "of AS %d has neither an address nor defaultGateway: there is no session", p.ASN)
	default:
		session.Families = d.familiesOf(p.Address, p.Families)
		d.add(session)
	}
}

// gateways are one peer a gateway. A family travels in the session with the gateway of its own family.
func (d *decision) gateways(session bgp.Peer, families []bgp.Family) {
	if len(families) == 0 {
		families = d.in.Families
	}
	for _, f := range families {
		found := false
		for _, gateway := range d.in.Gateways {
			if !gateway.Address.IsValid() || familyOf(gateway.Address) != f {
				continue
			}
			found = true
			session.Address, session.Families = gateway.Address, []bgp.Family{f}
			if gateway.Address.IsLinkLocalUnicast() && gateway.Address.Is6() {
				session.Address = gateway.Address.WithZone(gateway.Interface)
			}
			d.add(session)
		}
		if !found {
			d.problem(GatewayUnknown, "peer defaultGateway", "for %s: this node has no default route of that family yet: there is no session", f)
		}
	}
}

// familiesOf a session: what was asked for, else the pods' family that the address itself is of.
func (d *decision) familiesOf(a netip.Addr, asked []bgp.Family) []bgp.Family {
	if len(asked) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(asked)))
	}
	if f := familyOf(a); slices.Contains(d.in.Families, f) {
		return []bgp.Family{f}
	}
	return nil
}

// add a session if it can be.
func (d *decision) add(p bgp.Peer) {
	name := "peer " + p.Address.String()
	if p.Address.Is6() && p.Address.IsLinkLocalUnicast() && p.Address.Zone() == "" {
		p.Address = p.Address.WithZone(d.interfaceOf(p.Address))
	}
	switch {
	case p.Address.Is6() && p.Address.IsLinkLocalUnicast() && p.Address.Zone() == "":
		d.problem(PeerWithoutInterface, name, "is an address of the link: write its interface, as in %s%%eth0; there is no session", p.Address)
	case slices.Contains(d.in.Node.Addresses, p.Address):
		d.problem(PeerIsThisNode, name, "is this node itself: there is no session; a nodeSelector can keep it out")
	case len(p.Families) == 0:
		d.problem(PeerWithoutFamily, name, "carries none of the pods' families by default: name families; there is no session")
	case slices.ContainsFunc(d.desired.Peers, func(q bgp.Peer) bool { return q.Address == p.Address }):
		d.problem(PeerTwice, name, "is there twice for this node: the first one counts")
	default:
		d.desired.Peers = append(d.desired.Peers, p)
	}
}

// interfaceOf a gateway with that address.
func (d *decision) interfaceOf(a netip.Addr) string {
	for _, g := range d.in.Gateways {
		if g.Address.WithZone("") == a {
			return g.Interface
		}
	}
	return ""
}

// mesh with another node: a session a family, between the nodes' own addresses. The node whose name comes first connects, so that two
// connections never meet.
func (d *decision) mesh(n Node) {
	if n.Name == d.in.Node.Name {
		return
	}
	for _, f := range d.in.Families {
		own, theirs := first(d.in.Node.Addresses, f), first(n.Addresses, f)
		if !own.IsValid() || !theirs.IsValid() {
			d.problem(PeerWithoutAddress, "Node "+n.Name, "and this one have no addresses of %s for a session: its routes are not known here", f)
			continue
		}
		d.add(bgp.Peer{
			Address: theirs, LocalAddress: own, ASN: d.in.Config.ASN, Families: []bgp.Family{f}, Import: bgp.ImportAll,
			Passive: d.in.Node.Name > n.Name,
		})
	}
}

func first(addresses []netip.Addr, f bgp.Family) netip.Addr {
	for _, a := range addresses {
		if familyOf(a) == f {
			return a
		}
	}
	return netip.Addr{}
}

// listen where somebody may connect: on the node's own addresses, or everywhere for peers of the link. The configuration decides that, not
// who is there just now: a speaker that is to listen elsewhere begins anew, and ends all of its sessions for it.
func (d *decision) listen() {
	somebody, everywhere := d.in.Config.NodeMesh, false
	for _, p := range d.in.Config.Peers {
		if p.Passive && selects(p.NodeSelector, d.in.Node.Labels) {
			somebody = true
			everywhere = everywhere || p.DefaultGateway || p.Address.IsLinkLocalUnicast()
		}
	}
	if somebody {
		d.desired.ListenPort = port
	}
	if somebody && !everywhere {
		d.desired.ListenAddresses = slices.SortedFunc(slices.Values(d.in.Node.Addresses), netip.Addr.Compare)
	}
}
