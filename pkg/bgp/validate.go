// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	// minHoldTime is that of RFC 4271, section 4.2.
	minHoldTime = 3 * time.Second
	maxHoldTime = 65535 * time.Second
	// MaxPassword is the most bytes that a password for TCP MD5 has: TCP_MD5SIG_MAXKEYLEN of Linux.
	MaxPassword = 80
	// maxRestartTime is what the field of 12 bits takes (RFC 4724, section 3).
	maxRestartTime = 4095 * time.Second
)

// Validate says everything that is wrong with a desired state, each with what would be right.
func (d Desired) Validate() error {
	var errs []error
	if d.ASN == 0 {
		errs = append(errs, errors.New("the node has no autonomous system number: want 1 to 4294967295"))
	}
	if !d.RouterID.Is4() || d.RouterID.IsUnspecified() {
		errs = append(errs, fmt.Errorf("router ID %q: want four numbers as in 192.0.2.1", d.RouterID))
	}
	if t := d.GracefulRestart.Time; t != 0 && (t < time.Second || t > maxRestartTime) {
		errs = append(errs, fmt.Errorf("graceful restart time %s: want 1s to %s, or 0 for the default", t, maxRestartTime))
	}
	seen := map[netip.Addr]bool{}
	for _, p := range d.Peers {
		if seen[p.Address] {
			errs = append(errs, fmt.Errorf("peer %s is there twice", p.Address))
		}
		seen[p.Address] = true
		errs = append(errs, p.validate(d.ASN))
	}
	announced := map[netip.Prefix]bool{}
	for _, a := range d.Advertisements {
		if !a.Prefix.IsValid() || a.Prefix != a.Prefix.Masked() {
			errs = append(errs, fmt.Errorf("advertisement of %s: want a canonical prefix", a.Prefix))
		}
		if announced[a.Prefix] {
			errs = append(errs, fmt.Errorf("%s is advertised twice", a.Prefix))
		}
		announced[a.Prefix] = true
		if a.NextHop.IsValid() && a.NextHop.Is4() != a.Prefix.Addr().Is4() {
			errs = append(errs, fmt.Errorf("advertisement of %s: the next hop %s is of the other family", a.Prefix, a.NextHop))
		}
	}
	return errors.Join(errs...)
}

func (p Peer) validate(own uint32) error {
	switch {
	case !p.Address.IsValid():
		return errors.New("a peer has no address")
	case p.ASN == 0:
		return fmt.Errorf("peer %s has no autonomous system number", p.Address)
	case p.Address.IsLinkLocalUnicast() && p.Address.Zone() == "":
		return fmt.Errorf("peer %s is of the link: want its interface, as in %s%%eth0", p.Address, p.Address)
	case p.MultihopTTL > 1 && p.ASN == own:
		return fmt.Errorf("peer %s is internal (AS %d): a number of hops is for external ones", p.Address, p.ASN)
	case p.HoldTime != 0 && p.HoldTime < minHoldTime:
		return fmt.Errorf("peer %s: hold time %s: want at least %s (RFC 4271), or 0 for the default", p.Address, p.HoldTime, minHoldTime)
	case p.HoldTime > maxHoldTime:
		return fmt.Errorf("peer %s: hold time %s: want at most %s, which is what the field of 16 bits takes", p.Address, p.HoldTime, maxHoldTime)
	case p.ConnectRetry < 0 || p.ConnectRetry > maxHoldTime:
		return fmt.Errorf("peer %s: connect retry time %s: want up to %s, or 0 for the default", p.Address, p.ConnectRetry, maxHoldTime)
	case p.LocalAddress.IsValid() && p.LocalAddress.Is4() != p.Address.Is4():
		return fmt.Errorf("peer %s: cannot be spoken to from %s, which is of the other family", p.Address, p.LocalAddress)
	case p.Import != "" && p.Import != ImportNone && p.Import != ImportDefault && p.Import != ImportAll:
		return fmt.Errorf("peer %s: import %q: want %s, %s or %s", p.Address, p.Import, ImportNone, ImportDefault, ImportAll)
	case len(p.Password) > MaxPassword:
		return fmt.Errorf("peer %s: its password has %d bytes: TCP MD5 takes at most %d", p.Address, len(p.Password), MaxPassword)
	case len(p.Families) == 0:
		return fmt.Errorf("peer %s carries no family", p.Address)
	}
	for i, f := range p.Families {
		if f != IPv4Unicast && f != IPv6Unicast {
			return fmt.Errorf("peer %s: family %q: want %s or %s", p.Address, f, IPv4Unicast, IPv6Unicast)
		}
		if slices.Contains(p.Families[:i], f) {
			return fmt.Errorf("peer %s: family %s is there twice", p.Address, f)
		}
	}
	return nil
}
