// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// HostInterface is the name of the host's end of an attachment's wire: a hash of 55 bits, since names have 15 characters.
func HostInterface(attachment string) string {
	sum := sha256.Sum256([]byte(attachment))
	return agentconfig.HostInterfacePrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:7]))[:11]
}

// Wire is a pod's connection to its node.
type Wire struct {
	// HostInterface and PodInterface name the two ends.
	HostInterface, PodInterface string
	// Owner is written into the host's end (its alias), so that addresses in use can be recovered from the kernel alone.
	Owner string
	// MTU of both ends in bytes.
	MTU int
	// Addrs are the pod's, one a family.
	Addrs []netip.Addr
}

// Validate returns everything that is wrong with the wire.
func (w Wire) Validate() error {
	var errs []error
	for _, name := range []string{w.HostInterface, w.PodInterface} {
		if name == "" || len(name) > 15 {
			errs = append(errs, fmt.Errorf("interface name %q: want 1 to 15 characters", name))
		}
	}
	if !strings.HasPrefix(w.HostInterface, agentconfig.HostInterfacePrefix) {
		errs = append(errs, fmt.Errorf("host interface %q does not begin with %s", w.HostInterface, agentconfig.HostInterfacePrefix))
	}
	if len(w.Owner) > 255 { // IFALIASZ is 256
		errs = append(errs, fmt.Errorf("owner has %d characters, at most 255 fit", len(w.Owner)))
	}
	if w.MTU < agentconfig.MinMTU || w.MTU > agentconfig.MaxMTU {
		errs = append(errs, fmt.Errorf("MTU %d is not in %d to %d", w.MTU, agentconfig.MinMTU, agentconfig.MaxMTU))
	}
	if len(w.Addrs) == 0 {
		errs = append(errs, errors.New("no address"))
	}
	seen := map[bool]bool{}
	for _, a := range w.Addrs {
		if !a.IsValid() || a.Zone() != "" || a.Is4In6() || !a.IsGlobalUnicast() {
			errs = append(errs, fmt.Errorf("%s cannot be a pod's address", a))
		}
		if seen[a.Is4()] {
			errs = append(errs, fmt.Errorf("%s: a pod has one address a family", a))
		}
		seen[a.Is4()] = true
	}
	return errors.Join(errs...)
}

// End is what one end of a wire shall look like.
type End struct {
	Interface string
	MAC       MAC
	MTU       int
	// Sysctls are set before the interface comes up.
	Sysctls []Sysctl
	// Addrs are set without duplicate address detection, which would cost the pod a second or two.
	Addrs      []netip.Prefix
	Neighbours []Neighbour
	Routes     []Route
}

// Ends spells the wire out.
func (w Wire) Ends() (host, pod End) {
	host = End{Interface: w.HostInterface, MAC: mac(w.HostInterface, "host"), MTU: w.MTU}
	pod = End{Interface: w.PodInterface, MAC: mac(w.HostInterface, "pod"), MTU: w.MTU}
	for _, a := range w.Addrs {
		gateway, everything := Gateway6, netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if a.Is4() {
			gateway, everything = Gateway4, netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			host.Sysctls = append(host.Sysctls, hostSysctls4(w.HostInterface)...)
		} else {
			host.Sysctls = append(host.Sysctls, hostSysctls6(w.HostInterface)...)
			host.Addrs = append(host.Addrs, netip.PrefixFrom(Gateway6, 64))
			pod.Sysctls = append(pod.Sysctls, podSysctls6(w.PodInterface)...)
		}
		self := netip.PrefixFrom(a, a.BitLen())
		host.Neighbours = append(host.Neighbours, Neighbour{Addr: a, MAC: pod.MAC})
		host.Routes = append(host.Routes, Route{Dst: self, Device: w.HostInterface, Protocol: ProtocolPod})
		pod.Addrs = append(pod.Addrs, self)
		pod.Neighbours = append(pod.Neighbours, Neighbour{Addr: gateway, MAC: host.MAC})
		pod.Routes = append(pod.Routes, Route{Dst: everything, Via: gateway, Device: w.PodInterface, OnLink: true, Protocol: ProtocolPod})
	}
	return host, pod
}

// mac is derived from the name, so that a wire made anew looks the same; the first byte says unicast, locally administered.
func mac(name, end string) MAC {
	sum := sha256.Sum256([]byte(name + "/" + end))
	m := MAC(sum[:6])
	m[0] = m[0]&^0x01 | 0x02
	return m
}

// hostSysctls6: nothing that the pod says (router advertisements, redirects) may change the node, and fe80::1 shall be the only
// address: without addr_gen_mode the kernel adds one that is made from the MAC, and checks it for duplicates.
func hostSysctls6(name string) []Sysctl {
	dir := "net/ipv6/conf/" + name + "/"
	return []Sysctl{
		{dir + "disable_ipv6", "0"},
		{dir + "addr_gen_mode", "1"},
		{dir + "accept_ra", "0"},
		{dir + "accept_redirects", "0"},
		{dir + "accept_dad", "0"},
		{dir + "forwarding", "1"},
	}
}

func hostSysctls4(name string) []Sysctl {
	dir := "net/ipv4/conf/" + name + "/"
	return []Sysctl{
		{dir + "forwarding", "1"},
		{dir + "accept_redirects", "0"},
		{dir + "send_redirects", "0"},
	}
}

func podSysctls6(name string) []Sysctl {
	dir := "net/ipv6/conf/" + name + "/"
	return []Sysctl{
		{dir + "disable_ipv6", "0"},
		{dir + "accept_ra", "0"},
		{dir + "accept_redirects", "0"},
		{dir + "accept_dad", "0"},
	}
}
