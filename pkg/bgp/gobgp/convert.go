// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

var (
	ipv4Unicast = &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	ipv6Unicast = &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}
)

func familyOf(f bgp.Family) *api.Family {
	if f == bgp.IPv4Unicast {
		return ipv4Unicast
	}
	return ipv6Unicast
}

func globalOf(d bgp.Desired) *api.Global {
	global := &api.Global{Asn: d.ASN, RouterId: d.RouterID.String(), ListenPort: int32(d.ListenPort)}
	if d.ListenPort == 0 {
		global.ListenPort = -1
	}
	for _, a := range d.ListenAddresses {
		global.ListenAddresses = append(global.ListenAddresses, a.String())
	}
	return global
}

func seconds(d, otherwise time.Duration) uint64 { return uint64(cmp.Or(d, otherwise) / time.Second) }

func peerOf(p bgp.Peer, restart bgp.GracefulRestart, restarting bool) *api.Peer {
	hold := seconds(p.HoldTime, defaultHoldTime)
	peer := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: p.Address.String(), PeerAsn: p.ASN, AuthPassword: p.Password},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: hold, KeepaliveInterval: hold / 3, ConnectRetry: seconds(p.ConnectRetry, defaultConnectRetry), IdleHoldTimeAfterReset: 1,
		}},
		Transport: &api.Transport{RemotePort: uint32(cmp.Or(p.Port, 179)), PassiveMode: p.Passive},
	}
	if p.LocalAddress.IsValid() {
		peer.Transport.LocalAddress = p.LocalAddress.String()
	}
	if p.Address.Zone() != "" {
		peer.Transport.BindInterface = p.Address.Zone()
		// Else GoBGP looks for the interface's address, finds it with its zone, and then announces no next hop.
		peer.Transport.LocalAddress = netip.IPv6Unspecified().String()
	}
	if p.MultihopTTL > 1 {
		peer.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(p.MultihopTTL)}
	}
	if restart.Enabled {
		peer.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(seconds(restart.Time, defaultRestartTime)), DeferralTime: uint32(deferral / time.Second),
			LocalRestarting: restarting,
		}
	}
	for _, f := range p.Families {
		family := &api.AfiSafi{Config: &api.AfiSafiConfig{Family: familyOf(f), Enabled: true}}
		if restart.Enabled {
			family.MpGracefulRestart = &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}}
		}
		if p.ImportLimit > 0 {
			family.PrefixLimits = &api.PrefixLimit{Family: familyOf(f), MaxPrefixes: p.ImportLimit, ShutdownThresholdPct: 90}
		}
		peer.AfiSafis = append(peer.AfiSafis, family)
	}
	return peer
}

// pathOf an advertisement. Without a next hop, GoBGP puts in the session's own address.
func pathOf(a bgp.Advertisement) (*api.Path, error) {
	nlri, err := anypb.New(&api.IPAddressPrefix{Prefix: a.Prefix.Addr().String(), PrefixLen: uint32(a.Prefix.Bits())})
	if err != nil {
		return nil, fmt.Errorf("encoding the prefix: %w", err)
	}
	family := familyOf(bgp.FamilyOf(a.Prefix))
	hop := a.NextHop
	if !hop.IsValid() {
		hop = netip.IPv6Unspecified()
		if a.Prefix.Addr().Is4() {
			hop = netip.IPv4Unspecified()
		}
	}
	attributes := []proto.Message{&api.OriginAttribute{Origin: 0}}
	if a.Prefix.Addr().Is4() {
		attributes = append(attributes, &api.NextHopAttribute{NextHop: hop.String()})
	} else {
		attributes = append(attributes, &api.MpReachNLRIAttribute{Family: family, NextHops: []string{hop.String()}, Nlris: []*anypb.Any{nlri}})
	}
	if len(a.Communities) > 0 {
		numbers := make([]uint32, len(a.Communities))
		for i, c := range a.Communities {
			numbers[i] = uint32(c)
		}
		attributes = append(attributes, &api.CommunitiesAttribute{Communities: numbers})
	}
	if a.LocalPreference > 0 {
		attributes = append(attributes, &api.LocalPrefAttribute{LocalPref: a.LocalPreference})
	}
	path := &api.Path{Family: family, Nlri: nlri}
	for _, attribute := range attributes {
		encoded, err := anypb.New(attribute)
		if err != nil {
			return nil, fmt.Errorf("encoding %T: %w", attribute, err)
		}
		path.Pattrs = append(path.Pattrs, encoded)
	}
	return path, nil
}
